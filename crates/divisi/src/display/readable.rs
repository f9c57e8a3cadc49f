//! Values in JSON output, as their readers expect them: amounts of money in US dollars, tasks by the
//! numbers that commands take, and texts of JSON as the values that they are. [`schema`] is what
//! becomes of their schemas.
//!
//! In the program and in the journal an amount is an integer of picodollars ([`PicoUsd`]). Users
//! of the output should not have to know that unit, so each amount becomes a number of dollars,
//! wherever it is in a value: `0.0066`. That is exact to the picodollar below 8,192 dollars, the range
//! in which a floating-point number has a place for each of them.

use divisi_core::PicoUsd;
use serde::{Serialize, Serializer, ser};
use serde_json::{Map, Value, json};

/// A value that is serialized for readers.
pub(crate) struct Readable<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Serialize + ?Sized> Serialize for Readable<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Converting(serializer))
    }
}

/// The name under which serde announces an amount.
const AMOUNT: &str = "PicoUsd";

/// An amount in dollars. Whole ones have no decimals.
#[allow(
    clippy::cast_precision_loss,
    reason = "a picodollar of more than 8,192 dollars"
)]
fn dollars<T: Serialize + ?Sized, S: Serializer>(amount: &T, to: S) -> Result<S::Ok, S::Error> {
    let pico = serde_json::to_value(amount).map_err(ser::Error::custom)?;
    let pico = pico
        .as_u64()
        .ok_or_else(|| ser::Error::custom("not an amount"))?;
    match pico % PicoUsd::DOLLAR.0 {
        0 => to.serialize_u64(pico / PicoUsd::DOLLAR.0),
        _ => to.serialize_f64(pico as f64 / PicoUsd::DOLLAR.0 as f64),
    }
}

/// The name under which serde announces the number of a task.
const TASK: &str = "TaskId";

/// A task as commands take it and other output shows it: `t7`.
fn task<T: Serialize + ?Sized, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
    let number = serde_json::to_value(id).map_err(ser::Error::custom)?;
    to.serialize_str(&format!("t{number}"))
}

/// The name of the type, and of its variant, in which serde announces a text of the journal.
const TEXT: (&str, &str) = ("Content", "inline");

/// A text of the journal as the value that it is; a text that is no JSON, such as a script, as it
/// is.
fn value<T: Serialize + ?Sized, S: Serializer>(text: &T, to: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_value(text).map_err(ser::Error::custom)?;
    let parsed = text
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or(text).serialize(to)
}

/// Passes everything on to another serializer, except for amounts and texts of the journal.
struct Converting<S>(S);

/// Methods that pass a value without parts on.
macro_rules! pass {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($arg),*)
        })*
    };
}

/// Methods that begin a value with parts.
macro_rules! begin {
    ($($method:ident($($arg:ident: $type:ty),*) -> $parts:ident;)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<Self::$parts, S::Error> {
            self.0.$method($($arg),*).map(Converting)
        })*
    };
}

impl<S: Serializer> Serializer for Converting<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Converting<S::SerializeSeq>;
    type SerializeTuple = Converting<S::SerializeTuple>;
    type SerializeTupleStruct = Converting<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Converting<S::SerializeTupleVariant>;
    type SerializeMap = Converting<S::SerializeMap>;
    type SerializeStruct = Converting<S::SerializeStruct>;
    type SerializeStructVariant = Converting<S::SerializeStructVariant>;

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        match name {
            AMOUNT => dollars(value, self.0),
            TASK => task(value, self.0),
            _ => self.0.serialize_newtype_struct(name, &Readable(value)),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        match (name, variant) {
            TEXT => self::value(value, self.0),
            _ => self
                .0
                .serialize_newtype_variant(name, index, variant, &Readable(value)),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Readable(value))
    }

    pass! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_i128(v: i128);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_u128(v: u128);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    begin! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str,
            index: u32,
            variant: &'static str,
            len: usize
        ) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(
            name: &'static str,
            index: u32,
            variant: &'static str,
            len: usize
        ) -> SerializeStructVariant;
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// The parts of a value, each of which may hold amounts.
macro_rules! parts {
    ($($kind:ident: $($method:ident($($key:ident: $type:ty)?)),+;)*) => {
        $(impl<S: ser::$kind> ser::$kind for Converting<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            $(fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $type,)?
                value: &T,
            ) -> Result<(), S::Error> {
                self.0.$method($($key,)? &Readable(value))
            })+

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(key: &'static str);
    SerializeStructVariant: serialize_field(key: &'static str);
}

/// Changes definitions of types into those of what readers get.
pub(super) fn schema(definitions: &mut Map<String, Value>) {
    let mut replace = |name: &str, schema: Value| {
        if let Some(kept) = definitions.get_mut(name) {
            *kept = schema;
        }
    };
    replace(
        AMOUNT,
        json!({ "description": "US dollars.", "type": "number", "minimum": 0 }),
    );
    replace(
        TASK,
        json!({ "description": "The number of a task: `t7`.", "type": "string", "pattern": "^t[0-9]+$" }),
    );
    let (content, _) = TEXT;
    let about = "A value, or a text that is no JSON. Of a long one that is kept elsewhere, its digest and \
                 length: `{\"stored\": {\"digest\", \"bytes\"}}`.";
    replace(content, json!({ "description": about }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::{AttemptId, Content, TaskId};
    use std::collections::BTreeMap;

    fn shown(value: &impl Serialize) -> Value {
        serde_json::to_value(Readable(value)).expect("JSON")
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Kind {
        Paid { cost: PicoUsd, tokens: u64 },
    }

    #[derive(Serialize)]
    struct Whole {
        #[serde(flatten)]
        kind: Kind,
        caps: Vec<Option<PicoUsd>>,
        phases: BTreeMap<&'static str, (PicoUsd, u32)>,
    }

    #[test]
    fn amounts_are_found_wherever_they_are() {
        let whole = Whole {
            kind: Kind::Paid {
                cost: PicoUsd(6_600_000_000),
                tokens: 5_160,
            },
            caps: vec![None, Some(PicoUsd(5 * PicoUsd::DOLLAR.0))],
            phases: BTreeMap::from([("Fix", (PicoUsd(1), 3))]),
        };
        let expected = json!({
            "kind": "paid",
            "cost": 0.0066,
            "tokens": 5_160,
            "caps": [null, 5],
            "phases": { "Fix": [1e-12, 3] },
        });
        assert_eq!(shown(&whole), expected);
    }

    #[test]
    fn tasks_are_named_as_commands_take_them() {
        let task = TaskId(7);
        assert_eq!(
            shown(&AttemptId { task, number: 1 }),
            json!({ "task": "t7", "number": 1 })
        );
        assert_eq!(
            shown(&BTreeMap::from([(task, [task])])),
            json!({ "t7": ["t7"] })
        );
    }

    #[test]
    fn texts_of_the_journal_are_values() {
        let shown = |text: &str| shown(&Content::of(text.into()).0);
        assert_eq!(shown(r#""a text""#), json!("a text"));
        assert_eq!(shown(r#"{"n": [1, null]}"#), json!({"n": [1, null]}));
        assert_eq!(shown("return 1"), json!("return 1"));
        let long = format!("\"{}\"", "x".repeat(600));
        assert_eq!(shown(&long)["stored"]["bytes"], 602);
    }

    proptest::proptest! {
        #[test]
        fn no_picodollar_is_lost(pico in 0..4_000 * PicoUsd::DOLLAR.0) {
            let dollars = shown(&PicoUsd(pico)).as_f64().expect("a number");
            proptest::prop_assert_eq!((dollars * 1e12).round() as u64, pico);
        }
    }
}
