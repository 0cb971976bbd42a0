//! DNS messages (RFC 1035, section 4): one question for IPv4 addresses, and its reply.

use std::net::Ipv4Addr;

/// A reply, as far as it matters here.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// The addresses; `None` when there is no such name, or it has no IPv4 address.
    Addresses(Vec<Ipv4Addr>),
    /// The name server failed or refused, with this code.
    Failed(u8),
}

const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

/// The name in its wire form: each label with its length, and an empty one at the end. `None` if it is no domain name.
pub(super) fn encode(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut encoded = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        encoded.push(length);
        encoded.extend_from_slice(label.as_bytes());
    }
    encoded.push(0);
    (encoded.len() <= 255).then_some(encoded)
}

/// The question for the IPv4 addresses of an encoded name, with recursion.
pub(super) fn query(id: [u8; 2], name: &[u8]) -> Vec<u8> {
    let recursion_desired = [0x01, 0x00];
    let one_question = [0, 1, 0, 0, 0, 0, 0, 0];
    let [type_high, type_low] = TYPE_A.to_be_bytes();
    let [class_high, class_low] = CLASS_IN.to_be_bytes();
    let tail = [type_high, type_low, class_high, class_low];
    [&id[..], &recursion_desired, &one_question, name, &tail].concat()
}

/// Reads a reply; `None` if it is not one, or breaks off.
pub(super) fn parse(message: &[u8]) -> Option<Reply> {
    let mut rest = message;
    let [_, _, flags, code, ..] = *take(&mut rest, 4)? else { return None };
    if flags & 0x80 == 0 {
        return None;
    }
    let code = code & 0x0f;
    let questions = number(&mut rest)?;
    let answers = number(&mut rest)?;
    take(&mut rest, 4)?;
    if code != 0 && code != NO_SUCH_NAME {
        return Some(Reply::Failed(code));
    }
    for _ in 0..questions {
        skip_name(&mut rest)?;
        take(&mut rest, 4)?;
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        addresses.extend(record(&mut rest)?);
    }
    Some(Reply::Addresses(addresses))
}

/// One record: its address, or `None` if it holds something else, as an alias does.
fn record(rest: &mut &[u8]) -> Option<Option<Ipv4Addr>> {
    skip_name(rest)?;
    let (kind, class) = (number(rest)?, number(rest)?);
    take(rest, 4)?;
    let length = number(rest)?;
    let data = take(rest, length.into())?;
    let is_address = kind == TYPE_A && class == CLASS_IN;
    Some(<[u8; 4]>::try_from(data).ok().filter(|_| is_address).map(Ipv4Addr::from))
}

/// A name ends with an empty label or a pointer. Pointers are not followed, so that none can lead in
/// a circle.
fn skip_name(rest: &mut &[u8]) -> Option<()> {
    loop {
        match take(rest, 1)? {
            [0] => return Some(()),
            [length @ 1..=63] => take(rest, usize::from(*length)).map(|_| ())?,
            [0xc0..=0xff] => return take(rest, 1).map(|_| ()),
            _ => return None,
        }
    }
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reply to a question: an alias, then the addresses, all named by a pointer to the question.
    pub(crate) fn reply(query: &[u8], code: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
        let count = u8::try_from(addresses.len() + 1).expect("a few");
        let mut reply = query.to_vec();
        reply[2..8].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count]);
        reply.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 4, 1, b'a', 0xc0, 12]);
        for address in addresses {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
            reply.extend(address);
        }
        reply
    }

    fn question() -> Vec<u8> {
        query([7, 9], &encode("database.shop").expect("a name"))
    }

    #[test]
    fn a_name_has_labels_of_1_to_63_octets_and_255_in_all() {
        assert_eq!(encode("a.bc").expect("a name"), b"\x01a\x02bc\0");
        assert_eq!(encode("a.bc."), encode("a.bc"));
        let long = "a".repeat(63);
        assert!(encode(&long).is_some());
        assert!(encode(&[&long[..], &long, &long, &long[..61]].join(".")).is_some());
        for name in ["", ".", "a..b", ".a", &"a".repeat(64), &"a".repeat(256 + 1)] {
            assert_eq!(encode(name), None, "{name}");
        }
        assert_eq!(encode(&[&long[..], &long, &long, &long[..62]].join(".")), None);
    }

    #[test]
    fn addresses_are_read_past_an_alias() {
        let reply = reply(&question(), 0, &[[10, 96, 0, 1]]);
        assert_eq!(parse(&reply), Some(Reply::Addresses(vec![Ipv4Addr::new(10, 96, 0, 1)])));
    }

    #[test]
    fn a_code_is_an_answer_only_when_it_denies_the_name() {
        assert_eq!(parse(&reply(&question(), 3, &[])), Some(Reply::Addresses(vec![])));
        assert_eq!(parse(&reply(&question(), 2, &[])), Some(Reply::Failed(2)));
        assert_eq!(parse(&reply(&question(), 5, &[])), Some(Reply::Failed(5)));
    }

    #[test]
    fn a_question_is_no_reply() {
        assert_eq!(parse(&question()), None);
    }

    #[test]
    fn a_reply_that_breaks_off_is_none() {
        let reply = reply(&question(), 0, &[[10, 0, 0, 1], [10, 0, 0, 2]]);
        for length in 0..reply.len() {
            assert_eq!(parse(&reply[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(message in prop::collection::vec(any::<u8>(), 0..600)) {
            parse(&message);
        }

        #[test]
        fn no_changed_reply_makes_it_panic(at in 0usize..80, value: u8) {
            let mut reply = reply(&question(), 0, &[[10, 0, 0, 1], [10, 0, 0, 2]]);
            if let Some(octet) = reply.get_mut(at) {
                *octet = value;
            }
            parse(&reply);
        }

        #[test]
        fn no_name_makes_it_panic(name: String) {
            encode(&name);
        }
    }
}
