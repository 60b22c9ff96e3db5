//! Users: who runs this program, for whom (`sudo`), and what the machine calls them. Reads `/etc/passwd`, changes nothing.

use std::fs;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The effective user of this process.
pub fn caller() -> Owner {
    Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// The user that ran `sudo`, while the effective user is root.
pub fn sudo_user() -> Option<Owner> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let uid = number("SUDO_UID").filter(|_| caller().uid == 0)?;
    // `sudo` sets both; a script may pass on one.
    let group = || entry(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid).map(|(_, gid)| gid);
    Some(Owner { uid, gid: number("SUDO_GID").or_else(group).unwrap_or(uid) })
}

/// Whether `uid` is the caller, or the user that the caller acts for.
pub fn is_own(uid: u32) -> bool {
    uid == caller().uid || sudo_user().is_some_and(|user| user.uid == uid)
}

/// Whether files of `uid` may say what this program does: its own, and root's, who may do everything anyway.
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || is_own(uid)
}

/// Whether `gid` is the group of `uid` alone by custom: its primary group. So a umask of 002 gives nobody else the right
/// to write.
pub fn is_own_group(uid: u32, gid: u32) -> bool {
    let entries = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let primary = entry(&entries, uid).map(|(_, gid)| gid);
    // A user that `/etc/passwd` does not list (a directory service, a container) has the group that it runs with.
    let running = || [Some(caller()), sudo_user()].into_iter().flatten().find(|owner| owner.uid == uid);
    primary.or_else(|| running().map(|owner| owner.gid)) == Some(gid)
}

/// The user for messages, such as `` `mallory` (uid 1234) ``, or `uid 1234` without a name.
pub fn shown(uid: u32) -> String {
    let entries = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match entry(&entries, uid) {
        Some((name, _)) => format!("`{name}` (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

/// Name and primary group of a user, by the lines of `/etc/passwd`.
fn entry(entries: &str, uid: u32) -> Option<(&str, u32)> {
    entries.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, user, group, ..] = fields.as_slice() else { return None };
        let found = user.parse() == Ok(uid);
        found.then(|| Some((*name, group.parse().ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_found_by_number_in_passwd() {
        let entries =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\n+::::::\nann:x:1000:1001::/home/ann:/bin/sh\n";
        assert_eq!(entry(entries, 1000), Some(("ann", 1001)));
        assert_eq!(entry(entries, 0), Some(("root", 0)));
        assert_eq!(entry(entries, 1001), None);
        assert_eq!(shown(4_000_000_000), "uid 4000000000");
    }

    #[test]
    fn group_of_another_user_is_not_own() {
        let own = caller();
        assert!(is_own(own.uid) && is_trusted(0));
        assert!(!is_own_group(own.uid, own.gid.wrapping_add(12_345)));
        assert!(!is_own_group(4_000_000_000, 4_000_000_000));
    }
}
