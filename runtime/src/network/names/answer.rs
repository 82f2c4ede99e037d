//! From a question to an answer, or to somebody else (RFC 1035). Pure.

use std::net::Ipv4Addr;

use simple_dns::rdata::{A, PTR, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use super::zone::Zone;

/// How long an answer may be kept, in seconds: containers come and go (Docker's).
const TTL_SECONDS: u32 = 600;
/// Behind the numbers of an address, from its end, in a question for its name.
const REVERSE: &str = ".in-addr.arpa";

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
        let addresses = addresses.into_iter().filter(|_| wants(TYPE::A));
        addresses.map(|address| RData::A(A::from(address))).collect()
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
fn reversed(name: &str) -> Option<Ipv4Addr> {
    let at = name.len().checked_sub(REVERSE.len())?;
    let (numbers, suffix) = name.split_at_checked(at)?;
    if !suffix.eq_ignore_ascii_case(REVERSE) {
        return None;
    }
    let address: Ipv4Addr = numbers.parse().ok()?;
    Some(Ipv4Addr::from_bits(address.to_bits().swap_bytes()))
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
        assert_eq!(answers("2.0.89.10.in-addr.arpa", TYPE::PTR), ["db.net"]);
    }

    #[test]
    fn others_are_asked_about_others() {
        for name in ["example.com", "dbx", "9.0.89.10.in-addr.arpa", "in-addr.arpa", "x.in-addr.arpa"] {
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
