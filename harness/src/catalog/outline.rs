//! Where the parts of a YAML document are.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

pub(super) fn position(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line()).ok().filter(|line| *line > 0)?;
    Some((line, usize::try_from(location.column()).ok()?))
}

/// A document without its values, only with where they are.
#[derive(Debug, Clone)]
pub(super) enum Outline {
    Map(Vec<(Spanned<String>, Spanned<Outline>)>),
    List(Vec<Spanned<Outline>>),
    Scalar,
}

impl Outline {
    /// The place of what a JSON pointer names, or of the deepest thing on the way to it.
    pub(super) fn place(&self, pointer: &str) -> Option<(usize, usize)> {
        let mut outline = self;
        let mut place = Some((1, 1));
        for step in pointer.split('/').skip(1) {
            let Some((location, part)) = outline.part(step) else { break };
            place = position(location);
            outline = part;
        }
        place
    }

    /// Whether it is a map that has none of these keys.
    pub(super) fn is_without(&self, keys: &[&str]) -> bool {
        let Outline::Map(entries) = self else { return false };
        !entries.iter().any(|(key, _)| keys.contains(&key.value.as_str()))
    }

    /// The first key of the map that has a key at this place.
    pub(super) fn beginning(&self, place: (usize, usize)) -> Option<(usize, usize)> {
        match self {
            Outline::Map(entries) => {
                let has = entries.iter().any(|(key, _)| position(key.referenced) == Some(place));
                let first = entries.first().and_then(|(key, _)| position(key.referenced));
                let below = || entries.iter().find_map(|(_, value)| value.value.beginning(place));
                if has { first } else { below() }
            }
            Outline::List(items) => items.iter().find_map(|item| item.value.beginning(place)),
            Outline::Scalar => None,
        }
    }

    /// Where a key is of the map that begins at this place.
    pub(super) fn key(&self, place: (usize, usize), name: &str) -> Option<(usize, usize)> {
        match self {
            Outline::Map(entries) => {
                let first = entries.first().and_then(|(key, _)| position(key.referenced));
                let named = entries.iter().find(|(key, _)| key.value == name);
                let below = || entries.iter().find_map(|(_, value)| value.value.key(place, name));
                match first == Some(place) {
                    true => named.and_then(|(key, _)| position(key.referenced)),
                    false => below(),
                }
            }
            Outline::List(items) => items.iter().find_map(|item| item.value.key(place, name)),
            Outline::Scalar => None,
        }
    }

    /// One part, with where it stands: a scalar by itself, a map or a list by its key.
    fn part(&self, step: &str) -> Option<(Location, &Outline)> {
        match self {
            Outline::Map(entries) => {
                let (key, value) = entries.iter().find(|(key, _)| key.value == step)?;
                let scalar = matches!(value.value, Outline::Scalar);
                Some((if scalar { value.referenced } else { key.referenced }, &value.value))
            }
            Outline::List(items) => {
                let item = items.get(step.parse::<usize>().ok()?)?;
                Some((item.referenced, &item.value))
            }
            Outline::Scalar => None,
        }
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Outline, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Outline::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Outline, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Outline::List(list))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Scalar)
    }
}
