//! Whose a stack is: the project that asks, against the owner that is recorded with what runs. Decides and reads the files of
//! projects; asks no engine. Each target keeps one record: labels of a volume, annotations of an object, or the supervisor.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::document;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::stack::values::StackId;

/// The file of the identity within `.appforge`.
const FILE: &str = "id";
/// The stack file, of which another folder is recognised.
const STACK_FILE: &str = "appforge.yaml";
/// More of a file of another folder is not read.
const MOST: u64 = 1 << 20;

/// Who made a stack, as it is recorded with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The identity; an earlier build recorded none.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// The folder of the project.
    #[serde(default)]
    pub(crate) folder: String,
    /// Who ran `up`.
    #[serde(default)]
    pub(crate) user: String,
}

/// What makes two projects one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The identity, and the folder as long as that is a project: passwords and documents lie there.
    Folder,
    /// The identity alone, so that every clone may work.
    Id,
}

/// The project that asks.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    state_folder: PathBuf,
    /// Of the stack file or a variable.
    given: Option<StackId>,
    has_file: bool,
    take_over: bool,
}

impl Claim {
    /// The claim of the project in `folder` with this state folder; `given` is the id of its configuration, `has_file` whether it has a stack file.
    pub(crate) fn new(folder: &Path, state_folder: &Path, given: Option<StackId>, has_file: bool) -> Self {
        let (folder, state_folder) = (folder.to_owned(), state_folder.to_owned());
        Self { folder, state_folder, given, has_file, take_over: false }
    }

    /// The same claim, which the stack of another project is given up to if `take_over`.
    pub(crate) fn taking_over(self, take_over: bool) -> Self {
        Self { take_over, ..self }
    }

    /// The folder of the project.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes sure that the stack is this project's, or is still without an owner.
    ///
    /// # Errors
    /// Exit 1 with the owner's folder and user when it is another project's, or another folder of this project runs it.
    pub(crate) fn check(
        &self,
        place: &str,
        stack: &str,
        recorded: Option<&Owner>,
        scope: Scope,
    ) -> Result<()> {
        let Some(owner) = recorded else { return Ok(()) };
        let here = scope == Scope::Folder && self.is_here(owner);
        // Without `.appforge` a folder is still recognised; another id in its stack file is another project.
        if self.take_over || here && self.given.is_none() {
            return Ok(());
        }
        let own = self.id()?;
        let elsewhere = scope == Scope::Folder && !here;
        match &owner.id {
            Some(id) if own.as_ref().is_none_or(|own| own.as_str() != id) => {
                let mut failure =
                    self.refusal(format!("the stack `{stack}` on {place} belongs to another project"), owner);
                if scope == Scope::Id
                    && self.has_file
                    && self.given.is_none()
                    && id.parse::<StackId>().is_ok()
                {
                    failure = failure
                        .hint(format!("if it is the same project, write `id: {id}` into {STACK_FILE}"));
                }
                Err(failure.into())
            }
            Some(id) if elsewhere && holds(Path::new(&owner.folder), id) => Err(self
                .refusal(
                    format!("the stack `{stack}` on {place} is run from another folder of this project"),
                    owner,
                )
                .into()),
            None if elsewhere && is_project(Path::new(&owner.folder)) => Err(self
                .refusal(format!("the stack `{stack}` on {place} is run from another folder"), owner)
                .into()),
            _ => Ok(()),
        }
    }

    fn refusal(&self, message: String, owner: &Owner) -> Failure {
        let mut message = message;
        for (what, value) in [
            ("id", owner.id.as_deref().unwrap_or_default()),
            ("folder", &owner.folder),
            ("user", &owner.user),
        ] {
            if !value.is_empty() {
                message.push_str(&format!("\n  {what}: {}", printable(value)));
            }
        }
        Failure::new(ExitStatus::Failed, message)
            .hint("run the command in that folder, or give this stack another `name`")
            .hint("`appforge up --take-over` makes it the stack of this folder; data and passwords stay as they are")
    }

    /// Whether `owner` is this very project, so that its data may be called the user's own.
    pub(crate) fn is_owner(&self, owner: &Owner) -> Result<bool> {
        let own = self.id()?;
        Ok(self.is_here(owner)
            && (owner.id.is_none() || owner.id.as_deref() == own.as_ref().map(StackId::as_str)))
    }

    /// Whether an owner is recorded there: on a cluster only what every clone of the project has, since each folder would
    /// make an identity of its own.
    pub(crate) fn is_recorded(&self, scope: Scope) -> bool {
        scope == Scope::Folder || self.given.is_some() || !self.has_file
    }

    /// What `up` records: the identity, made where there is none, with this folder and user. Keeps the identity in
    /// `.appforge/id` too, which stands in when a stack file has none.
    pub(crate) fn settle(&self, recorded: Option<&Owner>) -> Result<Owner> {
        let known = recorded.filter(|owner| self.is_here(owner) && self.given.is_none());
        let known = known.and_then(|owner| owner.id.as_deref()?.parse::<StackId>().ok());
        let id = match known.map_or_else(|| self.id(), |id| Ok(Some(id)))? {
            Some(id) => id,
            None => fresh_id()?,
        };
        let text = format!("{id}\n");
        let file = self.file();
        if files::read_private(&file)?.as_deref() != Some(&text) {
            files::make_private_folder(&self.state_folder)?;
            files::write_private(&file, text.as_bytes(), 0o600)?;
        }
        Ok(Owner { id: Some(id.to_string()), folder: self.folder.display().to_string(), user: user() })
    }

    /// The identity of the configuration, else the one that an earlier `up` kept; one that is damaged is none.
    fn id(&self) -> Result<Option<StackId>> {
        match &self.given {
            Some(id) => Ok(Some(id.clone())),
            None => Ok(files::read_private(&self.file())?.and_then(|text| text.trim().parse().ok())),
        }
    }

    fn file(&self) -> PathBuf {
        self.state_folder.join(FILE)
    }

    fn is_here(&self, owner: &Owner) -> bool {
        let real = |folder: &Path| std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        !owner.folder.is_empty() && real(Path::new(&owner.folder)) == real(&self.folder)
    }
}

/// A new identity.
pub(crate) fn fresh_id() -> Result<StackId> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).context("the system gave no randomness")?;
    Ok(StackId::of_bytes(bytes))
}

/// The identity that a folder keeps already, by its stack file or by an earlier `up`.
pub(crate) fn kept_id(folder: &Path) -> Option<StackId> {
    id_of_file(&folder.join(STACK_FILE)).or_else(|| id_of_text(&folder.join(".appforge").join(FILE)))
}

/// Whether a folder is a project of this identity. One that may not be looked into is believed to be.
fn holds(folder: &Path, id: &str) -> bool {
    let (file, text) = (folder.join(STACK_FILE), folder.join(".appforge").join(FILE));
    let hidden =
        |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let is = |found: Option<StackId>| found.is_some_and(|found| found.as_str() == id);
    hidden(&file) || hidden(&text) || is(id_of_file(&file)) || is(id_of_text(&text))
}

/// Whether a folder has the documents of a stack on Docker, as builds that recorded no identity left them.
fn is_project(folder: &Path) -> bool {
    match folder.join(".appforge/compose/docker-compose.yml").symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
}

fn id_of_file(file: &Path) -> Option<StackId> {
    document::parse(&bounded(file)?).ok()?.get("id")?.as_str()?.parse().ok()
}

fn id_of_text(file: &Path) -> Option<StackId> {
    bounded(file)?.trim().parse().ok()
}

/// The beginning of a regular file. The folder may be anybody's: a pipe there must not block.
fn bounded(file: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    let mut text = String::new();
    let regular = file.metadata().ok()?.is_file();
    (regular && file.take(MOST).read_to_string(&mut text).is_ok()).then_some(text)
}

/// Who runs this program, for people.
/// Who runs this command, and on which machine, as people write it.
pub(crate) fn user_at_host() -> String {
    let machine = rustix::system::uname();
    format!("{}@{}", printable(&user()), printable(&machine.nodename().to_string_lossy()))
}

fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut named = named.filter(|name| !name.is_empty());
    named.next().unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// A recorded text for a terminal: others may have written it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn claim(folder: &Path) -> Claim {
        Claim::new(folder, &folder.join(".appforge"), None, false)
    }

    fn check(claim: &Claim, owner: &Owner, scope: Scope) -> Result<()> {
        claim.check("compose", "shop", Some(owner), scope)
    }

    #[test]
    fn identity_is_made_once_and_kept_with_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path()).settle(None).unwrap();
        assert_eq!(claim(folder.path()).settle(None).unwrap(), first);
        check(&claim(folder.path()), &first, Scope::Folder).unwrap();
        // Without `.appforge` the folder itself is what is recognised.
        std::fs::remove_dir_all(folder.path().join(".appforge")).unwrap();
        check(&claim(folder.path()), &first, Scope::Folder).unwrap();
        assert_eq!(claim(folder.path()).settle(Some(&first)).unwrap(), first);
    }

    #[test]
    fn stack_of_another_project_is_refused_with_its_owner() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner = Owner { user: "ann\u{1b}[2J".into(), ..claim(one.path()).settle(None).unwrap() };
        for scope in [Scope::Folder, Scope::Id] {
            let text = render(&check(&claim(other.path()), &owner, scope).unwrap_err());
            assert!(text.contains(&format!("  folder: {}\n", one.path().display())), "{text}");
            assert!(text.contains("  user: ann[2J\n"), "{text}");
            assert!(!text.contains("volumes"), "no hint takes the data of another project: {text}");
        }
        let taking = claim(other.path()).taking_over(true);
        check(&taking, &owner, Scope::Folder).unwrap();
        assert_ne!(taking.settle(Some(&owner)).unwrap().id, owner.id);
    }

    #[test]
    fn clone_is_refused_only_while_the_other_folder_holds_the_identity() {
        let (one, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id: StackId = "abcdefgh1234".parse().unwrap();
        std::fs::write(one.path().join(STACK_FILE), "# first\nid: abcdefgh1234\n").unwrap();
        let of = |folder: &Path| Claim::new(folder, &folder.join(".appforge"), Some(id.clone()), true);
        let owner = of(one.path()).settle(None).unwrap();
        check(&of(clone.path()), &owner, Scope::Folder).unwrap_err();
        check(&of(clone.path()), &owner, Scope::Id).unwrap();
        std::fs::write(one.path().join(STACK_FILE), "id: zzzzzzzzzzzz\n").unwrap();
        check(&of(clone.path()), &owner, Scope::Folder).unwrap_err();
        std::fs::remove_dir_all(one.path().join(".appforge")).unwrap();
        check(&of(clone.path()), &owner, Scope::Folder).unwrap();
        drop(one);
        check(&of(clone.path()), &owner, Scope::Folder).unwrap();
    }

    #[test]
    fn stack_of_earlier_build_is_adopted_when_its_folder_is_gone() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner = Owner { folder: one.path().display().to_string(), ..Owner::default() };
        check(&claim(other.path()), &owner, Scope::Folder).unwrap();
        std::fs::create_dir_all(one.path().join(".appforge/compose")).unwrap();
        std::fs::write(one.path().join(".appforge/compose/docker-compose.yml"), "").unwrap();
        check(&claim(other.path()), &owner, Scope::Folder).unwrap_err();
        check(&claim(one.path()), &owner, Scope::Folder).unwrap();
        assert!(claim(one.path()).is_owner(&owner).unwrap());
    }

    #[test]
    fn stack_file_without_identity_records_none_on_a_cluster() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            !Claim::new(folder.path(), &folder.path().join(".appforge"), None, true).is_recorded(Scope::Id)
        );
        assert!(claim(folder.path()).is_recorded(Scope::Id));
        let owner = Owner { id: Some("abcdefgh".into()), ..Owner::default() };
        let text = render(
            &check(
                &Claim::new(folder.path(), &folder.path().join(".appforge"), None, true),
                &owner,
                Scope::Id,
            )
            .unwrap_err(),
        );
        assert!(text.contains("write `id: abcdefgh` into appforge.yaml"), "{text}");
    }

    #[test]
    fn pipe_in_another_folder_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join(STACK_FILE);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(!holds(folder.path(), "abcdefgh"));
        assert_eq!(kept_id(folder.path()), None);
    }
}
