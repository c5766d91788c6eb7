//! JSON values whose type may surprise: read without failing the document around them.
//!
//! Owns the reading of single fields. A value of another type than expected is consumed and
//! reported as [`Slot::Bad`]; whether that matters is decided by who knows what the document is.
//! Only broken JSON is an error here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::audit::event::{ObjectRef, ResponseStatus, Text, User};

/// Names the keys of an object once, as an enum that is read without allocating.
macro_rules! keys {
    ($key:ident { $($name:ident: $($text:literal)|+),* $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $key { $($name,)* Other }

        impl<'de> serde::Deserialize<'de> for $key {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct KeyVisitor;
                impl<'de> serde::de::Visitor<'de> for KeyVisitor {
                    type Value = $key;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a key")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$key, E> {
                        Ok(match text {
                            $($($text)|+ => $key::$name,)*
                            _ => $key::Other,
                        })
                    }
                }
                deserializer.deserialize_str(KeyVisitor)
            }
        }
    };
}
pub(super) use keys;

/// A field as it was found.
#[derive(Debug)]
pub(super) enum Slot<T> {
    /// `null`, which is as good as missing.
    Absent,
    Value(T),
    /// Present, with a value of another type.
    Bad,
}

impl<T> Slot<T> {
    pub(super) fn ok(self) -> Option<T> {
        match self {
            Slot::Value(value) => Some(value),
            Slot::Absent | Slot::Bad => None,
        }
    }

    /// Stores the value, and tells whether it was of another type. The last of two duplicate
    /// keys wins, so what was there before goes in any case.
    pub(super) fn store(self, target: &mut Option<T>) -> bool {
        let bad = matches!(self, Slot::Bad);
        *target = self.ok();
        bad
    }
}

/// What can be made of one JSON value. Each method stands for one type of JSON.
pub(super) trait Lenient<'de>: Sized {
    fn text(_: Text<'de>) -> Slot<Self> {
        Slot::Bad
    }
    fn integer(_: i64) -> Slot<Self> {
        Slot::Bad
    }
    fn float(_: f64) -> Slot<Self> {
        Slot::Bad
    }
    fn boolean(_: bool) -> Slot<Self> {
        Slot::Bad
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Slot<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Slot::Bad)
    }
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Slot::Bad)
    }
}

impl<'de, T: Lenient<'de>> Deserialize<'de> for Slot<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SlotVisitor<T>(PhantomData<T>);
        impl<'de, T: Lenient<'de>> Visitor<'de> for SlotVisitor<T> {
            type Value = Slot<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Slot::Absent)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(T::boolean(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(T::integer(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(value).map_or_else(|_| T::float(value as f64), T::integer))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(T::float(value))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(T::text(Text(Cow::Borrowed(text))))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(T::text(Text(Cow::Owned(text.to_owned()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                T::list(list)
            }
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
                T::object(object)
            }
        }
        deserializer.deserialize_any(SlotVisitor(PhantomData))
    }
}

/// The next value of an object, whatever it is.
pub(super) fn value<'de, T: Lenient<'de>, A: MapAccess<'de>>(
    object: &mut A,
) -> Result<Slot<T>, A::Error> {
    object.next_value::<Slot<T>>()
}

/// The next value of an object if it is what is wanted.
pub(super) fn optional<'de, T: Lenient<'de>, A: MapAccess<'de>>(
    object: &mut A,
) -> Result<Option<T>, A::Error> {
    Ok(value(object)?.ok())
}

impl<'de> Lenient<'de> for Text<'de> {
    fn text(text: Text<'de>) -> Slot<Self> {
        Slot::Value(text)
    }
}

impl<'de> Lenient<'de> for i64 {
    fn integer(value: i64) -> Slot<Self> {
        Slot::Value(value)
    }
    /// Collectors that keep every number as a float write `101.0`.
    fn float(value: f64) -> Slot<Self> {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            Slot::Value(value as i64)
        } else {
            Slot::Bad
        }
    }
}

impl<'de> Lenient<'de> for bool {
    fn boolean(value: bool) -> Slot<Self> {
        Slot::Value(value)
    }
}

/// A time as a wrapper writes it: RFC 3339, or a number whose unit the wrapper defines.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Text(Text<'a>),
    Integer(i64),
    Float(f64),
}

impl<'de> Lenient<'de> for Scalar<'de> {
    fn text(text: Text<'de>) -> Slot<Self> {
        Slot::Value(Scalar::Text(text))
    }
    fn integer(value: i64) -> Slot<Self> {
        Slot::Value(Scalar::Integer(value))
    }
    fn float(value: f64) -> Slot<Self> {
        Slot::Value(Scalar::Float(value))
    }
}

/// Any value: only that it is there counts.
#[derive(Debug)]
pub(super) struct Present;

impl<'de> Lenient<'de> for Present {
    fn text(_: Text<'de>) -> Slot<Self> {
        Slot::Value(Present)
    }
    fn integer(_: i64) -> Slot<Self> {
        Slot::Value(Present)
    }
    fn float(_: f64) -> Slot<Self> {
        Slot::Value(Present)
    }
    fn boolean(_: bool) -> Slot<Self> {
        Slot::Value(Present)
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Slot<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Slot::Value(Present))
    }
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Slot::Value(Present))
    }
}

impl<'de> Lenient<'de> for Vec<Text<'de>> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Slot<Self>, A::Error> {
        let mut texts = Vec::new();
        let mut bad = false;
        while let Some(slot) = list.next_element::<Slot<Text<'de>>>()? {
            match slot {
                Slot::Value(text) => texts.push(text),
                Slot::Absent => {}
                Slot::Bad => bad = true,
            }
        }
        Ok(if bad { Slot::Bad } else { Slot::Value(texts) })
    }
}

impl<'de> Lenient<'de> for BTreeMap<Text<'de>, Text<'de>> {
    fn object<A: MapAccess<'de>>(object: A) -> Result<Slot<Self>, A::Error> {
        let (map, bad) = text_map(object)?;
        Ok(if bad { Slot::Bad } else { Slot::Value(map) })
    }
}

/// A map of which only the strings are kept.
#[derive(Debug, Default)]
pub(super) struct Labels<'a>(pub(super) BTreeMap<Text<'a>, Text<'a>>);

impl<'de> Lenient<'de> for Labels<'de> {
    fn object<A: MapAccess<'de>>(object: A) -> Result<Slot<Self>, A::Error> {
        Ok(Slot::Value(Labels(text_map(object)?.0)))
    }
}

/// The strings of a map, and whether it held anything else.
fn text_map<'de, A: MapAccess<'de>>(
    mut object: A,
) -> Result<(BTreeMap<Text<'de>, Text<'de>>, bool), A::Error> {
    let mut map = BTreeMap::new();
    let mut bad = false;
    while let Some(key) = object.next_key::<Text<'de>>()? {
        match value::<Text<'de>, A>(&mut object)? {
            Slot::Value(text) => {
                map.insert(key, text);
            }
            Slot::Absent => {
                map.remove(key.as_str());
            }
            Slot::Bad => bad = true,
        }
    }
    Ok((map, bad))
}

keys!(UserKey { Username: "username", Uid: "uid", Groups: "groups", Extra: "extra" });

impl<'de> Lenient<'de> for User<'de> {
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        let mut user = User::default();
        let mut bad = [false; 2];
        while let Some(key) = object.next_key::<UserKey>()? {
            match key {
                UserKey::Username => bad[0] = value(&mut object)?.store(&mut user.username),
                UserKey::Groups => bad[1] = value(&mut object)?.store(&mut user.groups),
                UserKey::Uid => user.uid = optional(&mut object)?,
                UserKey::Extra => {
                    user.extra = match object.next_value()? {
                        serde_json::Value::Object(map) => Some(map),
                        _ => None,
                    }
                }
                UserKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(if bad.contains(&true) { Slot::Bad } else { Slot::Value(user) })
    }
}

keys!(ObjectKey {
    Resource: "resource",
    Namespace: "namespace",
    Name: "name",
    Uid: "uid",
    ApiGroup: "apiGroup",
    ApiVersion: "apiVersion",
    ResourceVersion: "resourceVersion",
    Subresource: "subresource",
});

impl<'de> Lenient<'de> for ObjectRef<'de> {
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        let mut found = ObjectRef::default();
        let mut bad = [false; 6];
        while let Some(key) = object.next_key::<ObjectKey>()? {
            match key {
                ObjectKey::Resource => bad[0] = value(&mut object)?.store(&mut found.resource),
                ObjectKey::Namespace => bad[1] = value(&mut object)?.store(&mut found.namespace),
                ObjectKey::Name => bad[2] = value(&mut object)?.store(&mut found.name),
                ObjectKey::ApiGroup => bad[3] = value(&mut object)?.store(&mut found.api_group),
                ObjectKey::ApiVersion => bad[4] = value(&mut object)?.store(&mut found.api_version),
                ObjectKey::Subresource => {
                    bad[5] = value(&mut object)?.store(&mut found.subresource);
                }
                ObjectKey::Uid => found.uid = optional(&mut object)?,
                ObjectKey::ResourceVersion => found.resource_version = optional(&mut object)?,
                ObjectKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(if bad.contains(&true) { Slot::Bad } else { Slot::Value(found) })
    }
}

keys!(StatusKey { Status: "status", Reason: "reason", Message: "message", Code: "code" });

impl<'de> Lenient<'de> for ResponseStatus<'de> {
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        let mut found = ResponseStatus::default();
        let mut bad = false;
        while let Some(key) = object.next_key::<StatusKey>()? {
            match key {
                StatusKey::Code => bad = value(&mut object)?.store(&mut found.code),
                StatusKey::Status => found.status = optional(&mut object)?,
                StatusKey::Reason => found.reason = optional(&mut object)?,
                StatusKey::Message => found.message = optional(&mut object)?,
                StatusKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(if bad { Slot::Bad } else { Slot::Value(found) })
    }
}
