//! `name|uid[:group|gid]` by Docker's rules (runc's libcontainer/user, GetExecUser).

use super::Identity;
use super::database::{self, Group, User};
use crate::fault::Fault;

/// Resolves a user as written on the command line or in an image, and in a line each the groups that were added by name or number
/// (`--group-add`). Those and `more_groups` are added to what /etc/group says.
///
/// A number is always an id, even when it is somebody's name. An id needs no entry; a name does. Supplementary groups
/// come from /etc/group for a user who has an entry, unless a group was named. The primary group is one of them.
pub(super) fn resolve(spec: &str, more_groups: &[u32], passwd: &str, group: &str) -> Result<Identity, Fault> {
    let mut lines = spec.split('\n');
    let user = lines.next().unwrap_or_default();
    let (user_part, group_part) = user.split_once(':').unwrap_or((user, ""));
    let entry = find_user(user_part, passwd)?;
    let uid = match (entry, user_part) {
        (Some(entry), _) => entry.uid,
        (None, "") => 0,
        (None, number) => id(number)?,
    };
    let mut gid = entry.map_or(0, |entry| entry.gid);
    let mut groups = Vec::new();
    if group_part.is_empty() {
        let listed = |group: &Group<'_>| entry.is_some_and(|entry| group.has_member(entry.name));
        groups.extend(database::groups(group).filter(listed).map(|group| group.gid));
    } else {
        gid = find_group(group_part, group)?;
    }
    groups.insert(0, gid);
    for added in lines {
        groups.push(find_group(added, group)?);
    }
    groups.extend_from_slice(more_groups);
    let mut seen = Vec::with_capacity(groups.len());
    groups.retain(|gid| {
        let new = !seen.contains(gid);
        seen.push(*gid);
        new
    });
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { uid, gid, groups, home })
}

/// The entry of a user; `None` for an id without one.
fn find_user<'a>(user: &str, passwd: &'a str) -> Result<Option<User<'a>>, Fault> {
    let mut users = database::users(passwd);
    if user.is_empty() {
        return Ok(users.find(|entry| entry.uid == 0));
    }
    if is_number(user) {
        let uid = id(user)?;
        return Ok(users.find(|entry| entry.uid == uid));
    }
    users.find(|entry| entry.name == user).map(Some).ok_or_else(|| {
        Fault::invalid(format!("unable to find user {user}: no matching entries in passwd file"))
    })
}

fn find_group(name: &str, group: &str) -> Result<u32, Fault> {
    if is_number(name) {
        return id(name);
    }
    database::groups(group).find(|entry| entry.name == name).map(|entry| entry.gid).ok_or_else(|| {
        Fault::invalid(format!("unable to find group {name}: no matching entries in group file"))
    })
}

/// What Docker takes for a number (strconv.Atoi), in range or not.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn id(text: &str) -> Result<u32, Fault> {
    database::id(text.strip_prefix('+').unwrap_or(text))
        .ok_or_else(|| Fault::invalid("uids and gids must be in range 0-2147483647"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:\napp:x:1000:1000::/home/app:\n\
        1234:x:77:77::/odd:\nbare:x:5:6::::\n";
    const GROUP: &str = "root:x:0:root\nadm:x:4:app,daemon\nstaff:x:50:app\napp:x:1000:\n42:x:99:\n";

    fn resolved(spec: &str) -> Result<(u32, u32, Vec<u32>, String), Fault> {
        resolve(spec, &[], PASSWD, GROUP).map(|i| (i.uid, i.gid, i.groups, i.home))
    }

    #[test]
    fn users_by_name_and_number() {
        assert_eq!(resolved("app").unwrap(), (1000, 1000, vec![1000, 4, 50], "/home/app".into()));
        assert_eq!(resolved("1000").unwrap(), (1000, 1000, vec![1000, 4, 50], "/home/app".into()));
        assert_eq!(resolved("root").unwrap(), (0, 0, vec![0], "/root".into()));
        assert_eq!(resolved("4711").unwrap(), (4711, 0, vec![0], "/".into()));
        assert_eq!(resolved("bare").unwrap(), (5, 6, vec![6], "/".into()));
    }

    #[test]
    fn a_named_group_replaces_the_others() {
        assert_eq!(resolved("app:staff").unwrap(), (1000, 50, vec![50], "/home/app".into()));
        assert_eq!(resolved("app:8").unwrap(), (1000, 8, vec![8], "/home/app".into()));
        assert_eq!(resolved("12:34").unwrap(), (12, 34, vec![34], "/".into()));
        assert_eq!(resolved(":staff").unwrap(), (0, 50, vec![50], "/root".into()));
    }

    #[test]
    fn numbers_are_ids_even_when_they_are_names() {
        assert_eq!(resolved("1234").unwrap().0, 1234);
        assert_eq!(resolved("app:42").unwrap().1, 42);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for spec in ["4294967296", "2147483648", "-1", "app:4294967295", "18446744073709551616", "1:-5"] {
            assert_eq!(
                resolved(spec).unwrap_err().message,
                "uids and gids must be in range 0-2147483647",
                "{spec}"
            );
        }
    }

    #[test]
    fn unknown_names_are_refused_in_dockers_words() {
        assert_eq!(
            resolved("ghost").unwrap_err().message,
            "unable to find user ghost: no matching entries in passwd file"
        );
        assert_eq!(
            resolved("app:ghosts").unwrap_err().message,
            "unable to find group ghosts: no matching entries in group file"
        );
    }

    #[test]
    fn added_groups_join_without_repetition() {
        let identity = resolve("app", &[50, 7, 7], PASSWD, GROUP).unwrap();
        assert_eq!(identity.groups, [1000, 4, 50, 7]);
        assert_eq!(resolved("app:app\n7\nstaff\n7").unwrap().2, [1000, 7, 50]);
        assert_eq!(resolved("\nstaff").unwrap(), (0, 0, vec![0, 50], "/root".into()));
        assert!(resolved("app\nghosts").unwrap_err().message.contains("unable to find group ghosts"));
        let nobody = resolve("", &[], "", "").unwrap();
        assert_eq!((nobody.uid, nobody.gid, nobody.home.as_str()), (0, 0, "/"));
    }
}
