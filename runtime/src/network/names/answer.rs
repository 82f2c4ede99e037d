//! From a question to an answer, or to somebody else (RFC 1035). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, PTR, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use super::zone::Zone;

/// How long an answer may be kept, in seconds: containers come and go (Docker's).
const TTL_SECONDS: u32 = 600;
/// Behind the numbers of an address, from its end, in a question for its name.
const REVERSE: &str = ".in-addr.arpa";
/// The same behind the digits of an IPv6 address (RFC 3596, section 2.5).
const REVERSE6: &str = ".ip6.arpa";

/// What to do about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Reply(Vec<u8>),
    /// It is about somebody else.
    Forward,
}

/// `None` for what is no question.
pub(super) fn decide(question: &[u8], zone: &Zone) -> Option<Decision> {
    let packet = parse(question)?;
    let [asked] = packet.questions.as_slice() else { return failure(question).map(Decision::Reply) };
    let internet = matches!(asked.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
    if !internet || packet.opcode() != OPCODE::StandardQuery {
        return Some(Decision::Forward);
    }
    let name = asked.qname.to_string();
    let addresses = zone.addresses(&name);
    let wants = |kind| matches!(asked.qtype, QTYPE::ANY) || asked.qtype == QTYPE::TYPE(kind);
    let data: Vec<RData<'_>> = if !addresses.is_empty() {
        // Known, and of other types there is nothing.
        let data = addresses.into_iter().filter_map(|address| match address {
            IpAddr::V4(address) => wants(TYPE::A).then(|| RData::A(A::from(address))),
            IpAddr::V6(address) => wants(TYPE::AAAA).then(|| RData::AAAA(AAAA::from(address))),
        });
        data.collect()
    } else if let Some(owner) = reversed(&name).and_then(|address| zone.name(address)) {
        let owner = Name::new(owner).ok()?;
        if wants(TYPE::PTR) { vec![RData::PTR(PTR(owner))] } else { Vec::new() }
    } else {
        return Some(Decision::Forward);
    };
    let record = |data| ResourceRecord::new(asked.qname.clone(), CLASS::IN, TTL_SECONDS, data);
    reply(&packet, RCODE::NoError, data.into_iter().map(record).collect()).map(Decision::Reply)
}

/// The reply to a question that nobody can answer.
pub(super) fn failure(question: &[u8]) -> Option<Vec<u8>> {
    reply(&parse(question)?, RCODE::ServerFailure, Vec::new())
}

fn parse(question: &[u8]) -> Option<Packet<'_>> {
    Packet::parse(question).ok().filter(|packet| !packet.has_flags(PacketFlag::RESPONSE))
}

fn reply(question: &Packet<'_>, code: RCODE, answers: Vec<ResourceRecord<'_>>) -> Option<Vec<u8>> {
    let mut reply = Packet::new_reply(question.id());
    *reply.rcode_mut() = code;
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if question.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    reply.questions = question.questions.clone();
    reply.answers = answers;
    reply.build_bytes_vec_compressed().ok()
}

/// The address that a question for its name is about.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = before(name, REVERSE) {
        let address: Ipv4Addr = numbers.parse().ok()?;
        return Some(Ipv4Addr::from_bits(address.to_bits().swap_bytes()).into());
    }
    // Digits and dots take turns, 32 of them.
    let digits: Vec<&str> = before(name, REVERSE6)?.split('.').collect();
    let are_digits = digits.len() == 32 && digits.iter().all(|digit| digit.len() == 1);
    let forth: String = digits.into_iter().rev().collect();
    let bits = u128::from_str_radix(&forth, 16).ok().filter(|_| are_digits)?;
    Some(Ipv6Addr::from_bits(bits).into())
}

/// What stands before a suffix, whatever the case of its letters.
fn before<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let (before, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::Question;

    use super::super::zone::ZoneHost;
    use super::*;

    fn zone() -> Zone {
        let host = |last, names: &[&str]| ZoneHost {
            address: Ipv4Addr::new(10, 89, 0, last),
            address6: (last == 3).then(|| "fd00::3".parse().unwrap()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Zone::new(vec![
            host(2, &["db.net", "db", "store.net", "store"]),
            host(3, &["web.net", "web", "store.net", "store"]),
        ])
    }

    fn question(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new_unchecked(name);
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().unwrap()
    }

    fn answers(name: &str, kind: TYPE) -> Vec<String> {
        let Some(Decision::Reply(reply)) = decide(&question(name, kind), &zone()) else { panic!("{name}") };
        let reply = Packet::parse(&reply).unwrap();
        assert_eq!((reply.id(), reply.rcode(), reply.questions.len()), (7, RCODE::NoError, 1));
        assert!(reply.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE));
        let text = |record: &ResourceRecord<'_>| match &record.rdata {
            RData::A(a) => Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).to_string(),
            RData::PTR(PTR(name)) => name.to_string(),
            other => panic!("{other:?}"),
        };
        reply.answers.iter().map(text).collect()
    }

    #[test]
    fn names_and_aliases_have_the_addresses_of_who_has_them() {
        assert_eq!(answers("db", TYPE::A), ["10.89.0.2"]);
        assert_eq!(answers("WEB.net", TYPE::A), ["10.89.0.3"]);
        assert_eq!(answers("store", TYPE::A), ["10.89.0.2", "10.89.0.3"]);
        // So that nobody asks elsewhere for the other family.
        assert_eq!(answers("db", TYPE::AAAA), [""; 0]);
        assert_eq!(answers("web", TYPE::AAAA), ["fd00::3"]);
        assert_eq!(answers("store", TYPE::AAAA), ["fd00::3"]);
        assert_eq!(answers("2.0.89.10.in-addr.arpa", TYPE::PTR), ["db.net"]);
        assert_eq!(answers(&format!("3.{}d.f.ip6.arpa", "0.".repeat(29)), TYPE::PTR), ["web.net"]);
    }

    #[test]
    fn others_are_asked_about_others() {
        for name in
            ["example.com", "dbx", "9.0.89.10.in-addr.arpa", "in-addr.arpa", "x.in-addr.arpa", "3.ip6.arpa"]
        {
            assert_eq!(decide(&question(name, TYPE::A), &zone()), Some(Decision::Forward), "{name}");
        }
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let mut packet = Packet::new_reply(1);
        assert_eq!(decide(&packet.build_bytes_vec().unwrap(), &zone()), None);
        assert_eq!(decide(b"short", &zone()), None);
        packet = Packet::new_query(1);
        let Some(Decision::Reply(reply)) = decide(&packet.build_bytes_vec().unwrap(), &zone()) else {
            panic!()
        };
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), RCODE::ServerFailure);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decide(&bytes, &zone());
            let mut bytes = bytes;
            bytes.splice(..0, question("db", TYPE::A).into_iter().take(12));
            let _ = decide(&bytes, &zone());
        }
    }
}
