use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::temp_dir().canonicalize().unwrap()).unwrap()
}

#[test]
fn file_is_replaced_whole_with_the_mode_asked_for() {
    let folder = folder();
    let path = folder.path().join("secret");
    write_private(&path, b"one", 0o600).unwrap();
    // A crashed process of the same id left this behind.
    fs::write(folder.path().join(format!("secret.{}-0.new", std::process::id())), "old").unwrap();
    write_private(&path, b"two", 0o444).unwrap();
    assert_eq!(read_private(&path).unwrap().as_deref(), Some("two"));
    assert_eq!(mode(&path), 0o444);
    overwrite_private(&path, b"x", 0o440).unwrap();
    assert_eq!((read_private(&path).unwrap().as_deref(), mode(&path)), (Some("x"), 0o440));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn full_disk_is_named_with_the_next_command() {
    // The device that is always full.
    let error = fs::write("/dev/full", "x").unwrap_err();
    let error = cannot_write(Path::new("/dev/full"), error);
    assert_eq!(error.to_string(), "no space left on the disk for `/dev/full`");
    assert_eq!(crate::error::hints(&error).next().unwrap(), "df -h /dev");
}

#[test]
fn missing_file_is_none_and_unreadable_one_an_error() {
    let folder = folder();
    assert_eq!(read_if_there(&folder.path().join("nothing")).unwrap(), None);
    assert_eq!(read_private(&folder.path().join("nothing/x")).unwrap(), None);
    read_if_there(folder.path()).expect_err("a folder has no text");
    read_private(folder.path()).expect_err("a folder has no text");
}

#[test]
fn private_path_through_a_link_is_refused_by_all() {
    let folder = folder();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    make_private_folder(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "theirs").unwrap();
    symlink(outside.join("x"), inside.join("file")).unwrap();
    symlink(outside.join("missing"), inside.join("dangling")).unwrap();
    symlink(&outside, inside.join("folder")).unwrap();
    for name in ["file", "dangling", "folder/x", "folder/new"] {
        let path = inside.join(name);
        let at = inside.join(name.split('/').next().unwrap()).display().to_string();
        let said = |error: anyhow::Error| assert!(format!("{error:#}").contains(&at), "{name}: {error:#}");
        said(read_private(&path).expect_err(name));
        said(overwrite_private(&path, b"x", 0o600).expect_err(name));
        said(append_private(&path).expect_err(name).into());
        said(private_lock_file(&path).expect_err(name).into());
        said(set_private_mode(&path, 0o666).expect_err(name).into());
    }
    write_private(&inside.join("folder/new"), b"x", 0o600).expect_err("a link is in the way");
    make_private_folder(&inside.join("folder")).expect_err("a link");
    list_private(&inside.join("folder")).expect_err("a link");
    remove_private(&inside.join("folder/x")).expect_err("a link is in the way");
    // The link itself goes; a new file takes its place.
    write_private(&inside.join("file"), b"ours", 0o600).unwrap();
    remove_private(&inside).unwrap();
    assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "theirs");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn file_with_a_second_name_is_never_written() {
    let folder = folder();
    let (ours, other) = (folder.path().join("log"), folder.path().join("other"));
    fs::write(&other, "theirs").unwrap();
    fs::hard_link(&other, &ours).unwrap();
    append_private(&ours).expect_err("a second name");
    overwrite_private(&ours, b"x", 0o600).expect_err("a second name");
    assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
}

#[test]
fn folder_is_private_or_refused() {
    let folder = folder();
    let (path, deep) = (folder.path().join("state"), folder.path().join("state/a/b"));
    make_private_folder(&deep).unwrap();
    for made in [&path, &path.join("a"), &deep] {
        assert_eq!(mode(made), 0o700);
    }
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    make_private_folder(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let error = make_private_folder(&path).unwrap_err();
    assert!(error.to_string().contains("other users can write to"), "{error:#}");
    assert_eq!(mode(&path), 0o777, "what is refused is not changed");
    open_private_folder(&path).expect_err("other users can write to it");
}

#[test]
fn pipe_in_place_of_a_file_holds_nothing_up() {
    let folder = folder();
    let path = folder.path().join("state.json");
    rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    let error = read_private(&path).unwrap_err();
    assert!(error.to_string().ends_with("is not a regular file"), "{error:#}");
}
