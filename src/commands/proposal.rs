//! What `init` proposes for the app in a folder: its command, from the files that other tools read, and a name. Reads only;
//! nothing else guesses, and `up` runs what the stack file says.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::stack::TargetKind;
use crate::stack::values::Name;
use crate::trust;

/// The longest name that a stack has.
const LONGEST_NAME: usize = 40;
/// What starts a Python app, in the order in which it is looked for.
const PYTHON: [&str; 4] = ["uvicorn", "gunicorn", "flask", "django"];

/// What runs the app, and where that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) run: Run,
    /// The file, with the key that was read.
    pub(super) source: &'static str,
}

/// How the app runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Command(String),
    /// The engine builds the Dockerfile of the folder.
    Build,
}

type Finder = fn(&Path, &'static str) -> Result<Option<String>>;

/// What the files of `folder` propose for `target`; the first that says something counts. Only local runs a command without an
/// image.
///
/// # Errors
/// When a file cannot be read, or another user can write it.
pub(super) fn propose(folder: &Path, target: TargetKind) -> Result<Option<Proposal>> {
    match target {
        TargetKind::Local => {}
        TargetKind::Compose => {
            let found = trust::read(&folder.join("Dockerfile"))?;
            return Ok(found.map(|_| Proposal { run: Run::Build, source: "Dockerfile" }));
        }
        TargetKind::Kubernetes => return Ok(None),
    }
    let sources: [(&str, &'static str, Finder); 7] = [
        ("Procfile", "`web` in Procfile", procfile),
        ("package.json", "package.json", package_json),
        ("pyproject.toml", "pyproject.toml", python),
        ("requirements.txt", "requirements.txt", python),
        ("go.mod", "go.mod", |_, _| Ok(Some("go run .".to_owned()))),
        ("Cargo.toml", "Cargo.toml", |_, _| Ok(Some("cargo run --release".to_owned()))),
        ("Dockerfile", "Dockerfile", |_, _| Ok(None)),
    ];
    for (file, source, find) in sources {
        if folder.join(file).symlink_metadata().is_ok()
            && let Some(command) = find(folder, file)?
        {
            return Ok(Some(Proposal { run: Run::Command(command), source }));
        }
    }
    Ok(None)
}

/// The name of a stack after that of its folder; `None` when nothing of it can be in a name.
pub(super) fn name_of(folder: &Path) -> Option<Name> {
    let text = folder.file_name()?.to_str()?.to_lowercase();
    let mut name = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if c != '-' || !(name.is_empty() || name.ends_with('-')) {
            name.push(c);
        }
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "app-");
    }
    name.truncate(LONGEST_NAME);
    name.trim_end_matches('-').parse().ok()
}

fn text(folder: &Path, file: &str) -> Result<String> {
    Ok(trust::read(&folder.join(file))?.unwrap_or_default())
}

/// `web: COMMAND`; its `$PORT` is that of the app.
fn procfile(folder: &Path, file: &'static str) -> Result<Option<String>> {
    let text = text(folder, file)?;
    let command = text.lines().find_map(|line| line.strip_prefix("web:"));
    let command = command.map(str::trim).filter(|command| !command.is_empty());
    Ok(command.map(|command| {
        let filled = command.replace("${PORT}", "\0").replace("$PORT", "\0");
        filled.replace('$', "$$").replace('\0', "${port}")
    }))
}

fn package_json(folder: &Path, file: &'static str) -> Result<Option<String>> {
    // What npm would refuse proposes nothing.
    let package: Value = serde_json::from_str(&text(folder, file)?).unwrap_or_default();
    if package.pointer("/scripts/start").is_some_and(Value::is_string) {
        return Ok(Some("npm start".to_owned()));
    }
    let main = package["main"].as_str().filter(|main| !main.trim().is_empty() && is_plain(main));
    Ok(main.map(|main| format!("node {main}")))
}

fn python(folder: &Path, file: &'static str) -> Result<Option<String>> {
    let text = text(folder, file)?;
    if let Some(script) = script(&text) {
        return Ok(Some(script));
    }
    for library in PYTHON.into_iter().filter(|library| depends(&text, library)) {
        if library == "django" {
            if folder.join("manage.py").is_file() {
                return Ok(Some("python3 manage.py runserver --noreload ${port}".to_owned()));
            }
            continue;
        }
        for module in ["app", "main"] {
            let code = trust::read(&folder.join(format!("{module}.py")))?.unwrap_or_default();
            if code.lines().any(defines_app) {
                return Ok(Some(match library {
                    "uvicorn" => format!("uvicorn {module}:app --port ${{port}}"),
                    "gunicorn" => format!("gunicorn {module}:app --bind 127.0.0.1:${{port}}"),
                    _ => format!("flask --app {module} run --port ${{port}}"),
                }));
            }
        }
    }
    Ok(None)
}

/// The first of `[project.scripts]`.
fn script(text: &str) -> Option<String> {
    let after = text.lines().map(str::trim).skip_while(|line| *line != "[project.scripts]").skip(1);
    let mut lines = after.take_while(|line| !line.starts_with('['));
    let name = lines.find_map(|line| {
        let (name, _) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some(name.trim().trim_matches(['"', '\'']).to_owned())
    })?;
    (!name.is_empty() && is_plain(&name)).then_some(name)
}

/// Whether a list of dependencies names the library, and not one whose name only begins with it.
fn depends(text: &str, library: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.to_lowercase().split(['"', '\'', ',', ' ', '\t']).any(|word| {
            let rest = word.strip_prefix(library);
            rest.is_some_and(|rest| {
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c))
            })
        })
    })
}

fn defines_app(line: &str) -> bool {
    let rest = line.strip_prefix("app").map(str::trim_start);
    rest.is_some_and(|rest| (rest.starts_with('=') && !rest.starts_with("==")) || rest.starts_with(':'))
}

/// Whether a word needs no quotes in a command.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || "./_-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], target: TargetKind) -> Option<Proposal> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        propose(folder.path(), target).unwrap()
    }

    fn command(files: &[(&str, &str)]) -> Option<String> {
        found(files, TargetKind::Local).map(|proposal| match proposal.run {
            Run::Command(command) => command,
            Run::Build => "build".to_owned(),
        })
    }

    #[test]
    fn first_file_that_names_a_command_counts() {
        let procfile = ("Procfile", "worker: x\nweb: node server.js --port $PORT --user $USER\n");
        let start = ("package.json", r#"{"main": "index.js", "scripts": {"start": "node ."}}"#);
        let go = ("go.mod", "module shop\n");
        let filled = "node server.js --port ${port} --user $$USER";
        assert_eq!(command(&[procfile, start, go]).as_deref(), Some(filled));
        assert_eq!(command(&[("Procfile", "worker: x\n"), start, go]).as_deref(), Some("npm start"));
        assert_eq!(command(&[("package.json", r#"{"main": "a.js"}"#)]).as_deref(), Some("node a.js"));
        for text in ["{}", "no JSON", r#"{"main": "a b; rm"}"#] {
            assert_eq!(command(&[("package.json", text), go]).as_deref(), Some("go run ."), "{text}");
        }
        assert_eq!(command(&[("Cargo.toml", "[package]\n")]).as_deref(), Some("cargo run --release"));
        assert_eq!(command(&[("README.md", "web: x")]), None);
    }

    #[test]
    fn python_app_runs_by_its_script_or_its_server() {
        let app = ("app.py", "import x\n\napp = x.App()\n");
        let of = |text: &str, code: (&str, &str)| command(&[("pyproject.toml", text), code]);
        let scripts =
            "[project]\nname = 'shop'\n[project.scripts]\n# web\nshop = \"shop:main\"\n[tool]\nx = 1\n";
        assert_eq!(of(scripts, app).as_deref(), Some("shop"));
        let uvicorn = "[project]\ndependencies = [\"fastapi\", \"uvicorn[standard]>=0.30\"]\n";
        assert_eq!(of(uvicorn, app).as_deref(), Some("uvicorn app:app --port ${port}"));
        assert_eq!(
            of(uvicorn, ("main.py", "app: App = App()")).as_deref(),
            Some("uvicorn main:app --port ${port}")
        );
        assert_eq!(of(uvicorn, ("app.py", "apple = 1\napp == 2\n")), None);
        assert_eq!(of("[project]\ndependencies = [\"uvicorn-worker\"]\n", app), None);
        let lines = [("requirements.txt", "pymongo\nFlask==3.0\n"), app];
        assert_eq!(command(&lines).as_deref(), Some("flask --app app run --port ${port}"));
    }

    #[test]
    fn dockerfile_is_built_for_compose_only() {
        let files = [("Dockerfile", "FROM x\n"), ("go.mod", "module shop\n")];
        let build = Proposal { run: Run::Build, source: "Dockerfile" };
        assert_eq!(found(&files, TargetKind::Compose), Some(build));
        assert_eq!(found(&files[1..], TargetKind::Compose), None);
        assert_eq!(found(&files, TargetKind::Kubernetes), None);
        assert_eq!(command(&files).as_deref(), Some("go run ."));
        assert_eq!(command(&files[..1]), None);
    }

    #[test]
    fn folder_gives_a_name_that_a_stack_can_have() {
        let long = "a".repeat(39);
        for (folder, name) in [
            ("/home/Shop_API", Some("shop-api")),
            ("/2048", Some("app-2048")),
            ("/.config--x ", Some("config-x")),
            (&format!("/{long}-b"), Some(long.as_str())),
            ("/\u{65e5}", None),
            ("/", None),
        ] {
            assert_eq!(name_of(Path::new(folder)).map(|name| name.to_string()).as_deref(), name, "{folder}");
        }
    }
}
