//! Circles between the files of one crate: a file that imports, directly or through others, a file that imports it.
//!
//! An import is a path that begins with `crate::` or `super::`, in a `use` or in code, and is followed through re-exports to the
//! file that has the item. A path that begins with a submodule is not one: a folder's file may call what it consists of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most re-exports between a name and its item.
const MOST_HOPS: usize = 8;

/// One file of a crate.
struct Module<'a> {
    file: &'a str,
    /// What it imports: `crate::` and `super::` paths.
    imports: Vec<String>,
    /// What its `use` lines name, each with its path.
    names: BTreeMap<String, String>,
}

/// The files of one crate, by module path; the crate's root is the empty one.
#[derive(Default)]
struct Crate<'a> {
    modules: BTreeMap<String, Module<'a>>,
}

/// The circles among these files, each given as its path and its code without tests; one line for each circle.
pub(crate) fn circles<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut crates: BTreeMap<&str, Crate<'_>> = BTreeMap::new();
    for (file, code) in files.filter(|(file, _)| !file.ends_with("tests.rs")) {
        let Some(start) = file.find("src/").filter(|at| *at == 0 || file[..*at].ends_with('/')) else {
            continue;
        };
        let (root, path) = file.split_at(start + "src/".len());
        crates.entry(root).or_default().add(file, path, code);
    }
    crates.values().flat_map(Crate::circles).collect()
}

impl<'a> Crate<'a> {
    fn add(&mut self, file: &'a str, path: &str, code: &str) {
        let path = path.trim_end_matches(".rs");
        let path = ["/mod", "lib", "main"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let names = code.split(';').filter_map(|statement| {
            let (before, used) = statement.rsplit_once("use ")?;
            let last = before.lines().last().unwrap_or_default().trim_start();
            (last.is_empty() || last.starts_with("pub")).then_some(used)
        });
        let names = names.flat_map(written_out).map(|path| match path.split_once(" as ") {
            Some((path, name)) => (name.trim().to_owned(), path.trim().to_owned()),
            None => (path.rsplit("::").next().unwrap_or_default().to_owned(), path),
        });
        let module = Module { file, imports: imports(&code), names: names.collect() };
        // A program beside a library comes after it and is a crate of its own.
        self.modules.entry(path.replace('/', "::")).or_insert(module);
    }

    /// The path from the crate's root, of a path as `module` writes it; `None` for one into another crate.
    fn absolute(&self, module: &str, path: &str) -> Option<String> {
        let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        let mut parts = path.split("::").peekable();
        match *parts.peek()? {
            "crate" => {
                base.clear();
                parts.next();
            }
            "self" => drop(parts.next()),
            "super" => {
                while parts.next_if_eq(&"super").is_some() {
                    base.pop()?;
                }
            }
            child if !self.modules.contains_key(&[base.as_slice(), &[child]].concat().join("::")) => {
                return None;
            }
            _ => {}
        }
        base.extend(parts);
        Some(base.join("::"))
    }

    /// The file that has what `path`, an absolute one, names.
    fn file_of(&self, mut path: String) -> Option<&'a str> {
        let mut file = None;
        for _ in 0..MOST_HOPS {
            let parts: Vec<&str> = path.split("::").collect();
            let (at, module) = (0..=parts.len()).rev().find_map(|at| {
                Some((at, parts[..at].join("::"))).filter(|(_, it)| self.modules.contains_key(it))
            })?;
            let found = self.modules.get(&module)?;
            file = Some(found.file);
            let used = parts.get(at).and_then(|name| self.absolute(&module, found.names.get(*name)?));
            let Some(used) = used else { break };
            path = [&[used.as_str()], &parts[at + 1..]].concat().join("::");
        }
        file
    }

    fn circles(&self) -> BTreeSet<String> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, module) in &self.modules {
            let imports =
                module.imports.iter().filter_map(|import| self.file_of(self.absolute(path, import)?));
            edges.insert(module.file, imports.filter(|file| *file != module.file).collect());
        }
        let shortest = edges.keys().filter_map(|file| circle(&edges, file));
        shortest
            .map(|circle| format!("{}:1: a circle of imports: {}", circle[0], circle.join(" -> ")))
            .collect()
    }
}

/// The shortest way from `file` back to itself, its first file in the order of names first.
fn circle<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, file: &'a str) -> Option<Vec<&'a str>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([file]);
    while let Some(at) = queue.pop_front() {
        for next in edges.get(at).into_iter().flatten() {
            if from.contains_key(next) {
                continue;
            }
            from.insert(next, at);
            queue.push_back(next);
        }
    }
    let mut way = vec![*from.get(file)?];
    while way.last() != Some(&file) {
        way.push(from.get(way.last()?)?);
    }
    way.reverse();
    let first = way.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(at, _)| at);
    way.rotate_left(first);
    Some(way)
}

/// The paths of a text that begin with `crate::` or `super::`.
fn imports(code: &str) -> Vec<String> {
    let starts =
        ["crate::", "super::"].into_iter().flat_map(|word| code.match_indices(word)).map(|(at, _)| at);
    let whole = starts.filter(|at| {
        let before = &code[..*at];
        let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '"' | '`');
        // `pub(in crate::x)` says who may import, and imports nothing.
        !before.ends_with(inner) && !before.ends_with("(in ")
    });
    whole
        .flat_map(|at| {
            let mut depth = 0_usize;
            let end = code[at..].find(|c: char| {
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && !(c.is_alphanumeric() || matches!(c, '_' | ':' | '}'))
            });
            written_out(&code[at..end.map_or(code.len(), |end| at + end)])
        })
        .map(|path| path.split(" as ").next().unwrap_or_default().to_owned())
        .collect()
}

/// The paths of a tree such as `a::{b, c::{self, d as e}}`.
fn written_out(tree: &str) -> Vec<String> {
    let (mut paths, mut prefixes, mut prefix, mut part) =
        (Vec::new(), Vec::new(), String::new(), String::new());
    for c in tree.chars().chain([',']) {
        match c {
            '{' => {
                prefixes.push(prefix.clone());
                prefix.push_str(part.trim());
                part.clear();
            }
            ',' | '}' => {
                if !part.trim().is_empty() {
                    let path = format!("{prefix}{}", part.trim());
                    paths.push(path.strip_suffix("::self").unwrap_or(&path).trim_end_matches(':').to_owned());
                }
                part.clear();
                if c == '}' {
                    prefix = prefixes.pop().unwrap_or_default();
                }
            }
            c => part.push(c),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        circles(files.iter().copied())
    }

    #[test]
    fn circle_is_reported_once_when_two_files_import_each_other() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b::B;"),
            ("src/b.rs", "fn f(a: super::a::A) {}"),
        ];
        assert_eq!(found(&files), ["src/a.rs:1: a circle of imports: src/a.rs -> src/b.rs"]);
    }

    #[test]
    fn circle_is_found_when_a_third_file_or_braces_are_between() {
        let files = [
            ("service/src/a.rs", "use crate::{\n    x::Y,\n    b::{self, B as C},\n};"),
            ("service/src/b.rs", "use super::c::d::D;"),
            ("service/src/c/d.rs", "use crate::a::A;"),
            ("service/src/c/mod.rs", ""),
        ];
        let circle = "service/src/a.rs:1: a circle of imports: service/src/a.rs -> service/src/b.rs -> service/src/c/d.rs";
        assert_eq!(found(&files), [circle]);
    }

    #[test]
    fn circle_is_found_when_a_folder_re_exports_the_item() {
        let files = [
            ("src/a.rs", "use crate::f::Item;"),
            ("src/f/inner.rs", "use crate::a::A;"),
            ("src/f/mod.rs", "mod inner;\n\npub(crate) use inner::{Item, Other as Another};"),
        ];
        assert_eq!(found(&files), ["src/a.rs:1: a circle of imports: src/a.rs -> src/f/inner.rs"]);
        let harmless = ["use crate::f::mod_of_f;", "use crate::f::Missing;"].map(|line| ("src/a.rs", line));
        for file in harmless {
            assert_eq!(found(&[file, files[1], files[2]]), Vec::<String>::new());
        }
    }

    #[test]
    fn parents_strings_comments_and_other_crates_are_not_imports() {
        let files = [
            ("src/f/mod.rs", "mod inner;\nfn f() { inner::g() }"),
            (
                "src/f/inner.rs",
                "use super::T;\npub(in crate::a) fn g() { \"crate::a::A\" }\n// crate::a::A\n",
            ),
            ("src/a.rs", "use crate::f::inner::g;\nuse other::b;"),
            ("service/src/b.rs", "use crate::a;"),
            ("service/src/a.rs", "use appforge::b;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
