//! passwd(5) and group(5), line by line; what is malformed is skipped.

/// One line of /etc/passwd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: &'a str,
}

/// One line of /etc/group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) gid: u32,
    members: &'a str,
}

impl Group<'_> {
    /// Whether a user is listed.
    pub(super) fn has_member(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member.trim() == user)
    }
}

/// All users that can be understood, in order.
pub(super) fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        Some(User { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// All groups that can be understood, in order.
pub(super) fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        Some(Group { name, gid: id(fields.next()?)?, members: fields.next().unwrap_or_default() })
    })
}

/// A user or group id. The kernel's "no id" (all ones) and everything above Docker's limit of 2^31-1 is none.
pub(super) fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse::<i32>().ok().and_then(|id| u32::try_from(id).ok())).flatten()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_lines_are_read_and_others_skipped() {
        let passwd = "# users\nroot:x:0:0:root:/root:/bin/sh\n\nbroken\nneg:x:-1:0::/:\nhuge:x:4294967296:0::/:\n\
            wrap:x:4294967295:0::/:\nplus:x:+5:0::/:\nshort:x:7:8\n";
        let found: Vec<_> = users(passwd).map(|user| (user.name, user.uid, user.gid, user.home)).collect();
        assert_eq!(found, [("root", 0, 0, "/root"), ("short", 7, 8, "")]);
    }

    #[test]
    fn groups_know_their_members() {
        let group = "wheel:x:10:root, alice,bob\nempty:x:11:\nnogid:x::a\n";
        let all: Vec<_> = groups(group).collect();
        assert_eq!(all.iter().map(|g| (g.name, g.gid)).collect::<Vec<_>>(), [("wheel", 10), ("empty", 11)]);
        assert!(all[0].has_member("alice") && !all[0].has_member("ali"));
        assert!(!all[1].has_member("root"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text: String) {
            users(&text).count();
            groups(&text).count();
        }
    }
}
