//! Reads every row of the table with real serde_json, into the Rust type that it names, and
//! writes the value again: the JSON must be the same. See table.py for how to run it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
enum Status {
    Pending,
    Done,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    name: String,
    price: Decimal,
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    id: Uuid,
    items: Vec<Item>,
    // As chrono reads it; it writes Z where Python writes +00:00.
    #[serde(with = "as_python_writes")]
    at: DateTime<FixedOffset>,
    took: Option<Duration>,
    total: Decimal,
}

mod as_python_writes {
    use super::*;

    pub fn serialize<S: serde::Serializer>(
        at: &DateTime<FixedOffset>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string())
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DateTime<FixedOffset>, D::Error> {
        DateTime::deserialize(deserializer)
    }
}

#[derive(Serialize, Deserialize)]
struct At(#[serde(with = "as_python_writes")] DateTime<FixedOffset>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    a: i64,
    b: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    held: Held,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slotted {
    _private: i64,
    count: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Box_<T> {
    content: T,
}

#[derive(Serialize, Deserialize)]
struct Point(i64, f64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    max_items: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    street: String,
    since: NaiveDate,
    stay: f64,
    key: Uuid,
    fee: Decimal,
    parts: BTreeSet<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WorkerId {
    component_id: Uuid,
    worker_name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PromiseId {
    worker_id: WorkerId,
    oplog_idx: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected {
    reason: String,
}

#[derive(Serialize, Deserialize)]
enum Decision {
    Approved,
    Rejected { reason: String },
}

#[derive(Serialize, Deserialize)]
enum Renamed {
    Approved,
    Denied { reason: String },
}

#[derive(Serialize, Deserialize)]
enum Movement {
    Shifted(i64, i64),
    Noted(String),
    Pending,
    Done,
    #[serde(rename = "red")]
    Red,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    decision: Decision,
    earlier: Vec<Decision>,
    by_name: BTreeMap<String, Option<Decision>>,
}

macro_rules! keyed {
    ($($name:ident $style:literal),*) => {$(
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = $style)]
        struct $name {
            first_name: String,
            last_seen_at: Option<i64>,
            free_form: HashMap<String, i64>,
        }
    )*};
}

keyed!(
    Camel "camelCase",
    Pascal "PascalCase",
    Kebab "kebab-case",
    Screaming "SCREAMING_SNAKE_CASE",
    ScreamingKebab "SCREAMING-KEBAB-CASE"
);

#[derive(Deserialize)]
struct Row {
    name: String,
    rust: String,
    json: String,
}

/// Reads the JSON as golem-rust's `await_promise_json` does, from bytes.
fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_slice(json.as_bytes()).map_err(|error| error.to_string())
}

fn there_and_back<T: DeserializeOwned + Serialize>(json: &str) -> Result<(), String> {
    let again = serde_json::to_string(&read::<T>(json)?).map_err(|error| error.to_string())?;
    if again == json || read::<Value>(&again)? == read::<Value>(json)? {
        return Ok(());
    }
    Err(format!("reads back as {again}"))
}

fn check(rust: &str, json: &str) -> Result<(), String> {
    match rust {
        "()" => there_and_back::<()>(json),
        "Address" => there_and_back::<Address>(json),
        "BTreeSet<(i64, i64)>" => there_and_back::<BTreeSet<(i64, i64)>>(json),
        "BTreeSet<String>" => there_and_back::<BTreeSet<String>>(json),
        "BTreeSet<Uuid>" => there_and_back::<BTreeSet<Uuid>>(json),
        "BTreeSet<i64>" => there_and_back::<BTreeSet<i64>>(json),
        "Box<Vec<i64>>" => there_and_back::<Box_<Vec<i64>>>(json),
        "Colour" => there_and_back::<Colour>(json),
        "(i64, String)" => there_and_back::<(i64, String)>(json),
        "(i64, i64)" => there_and_back::<(i64, i64)>(json),
        "DateTime<FixedOffset>" => there_and_back::<At>(json),
        "Decimal" => there_and_back::<Decimal>(json),
        "Decimal (read only)" => read::<Decimal>(json).map(drop),
        "Decision" => there_and_back::<Decision>(json),
        "Duration" => there_and_back::<Duration>(json),
        "HashMap<Colour, i64>" => there_and_back::<HashMap<Colour, i64>>(json),
        "HashMap<String, PromiseId>" => there_and_back::<HashMap<String, PromiseId>>(json),
        "HashMap<String, Vec<u8>>" => there_and_back::<HashMap<String, Vec<u8>>>(json),
        "HashMap<String, i64>" => there_and_back::<HashMap<String, i64>>(json),
        "HashMap<Uuid, i64>" => there_and_back::<HashMap<Uuid, i64>>(json),
        "HashMap<i64, String>" => there_and_back::<HashMap<i64, String>>(json),
        "HashMap<i64, i64>" => there_and_back::<HashMap<i64, i64>>(json),
        "Holder" => there_and_back::<Holder>(json),
        "Item" => there_and_back::<Item>(json),
        "Keyed PascalCase" => there_and_back::<Pascal>(json),
        "Keyed SCREAMING-KEBAB-CASE" => there_and_back::<ScreamingKebab>(json),
        "Keyed SCREAMING_SNAKE_CASE" => there_and_back::<Screaming>(json),
        "Keyed camelCase" => there_and_back::<Camel>(json),
        "Keyed kebab-case" => there_and_back::<Kebab>(json),
        "Movement" => there_and_back::<Movement>(json),
        "NaiveDate" => there_and_back::<NaiveDate>(json),
        "NaiveDateTime" => there_and_back::<NaiveDateTime>(json),
        "NaiveTime" => there_and_back::<NaiveTime>(json),
        "Option<Decision>" => there_and_back::<Option<Decision>>(json),
        "Option<i64>" => there_and_back::<Option<i64>>(json),
        "Order" => there_and_back::<Order>(json),
        "Point" => there_and_back::<Point>(json),
        "PromiseId" => there_and_back::<PromiseId>(json),
        "Rejected" => there_and_back::<Rejected>(json),
        "Renamed" => there_and_back::<Renamed>(json),
        "Report" => there_and_back::<Report>(json),
        "Settings" => there_and_back::<Settings>(json),
        "Slotted" => there_and_back::<Slotted>(json),
        "Status" => there_and_back::<Status>(json),
        "String" => there_and_back::<String>(json),
        "Uuid" => there_and_back::<Uuid>(json),
        "Value" => there_and_back::<Value>(json),
        "Vec<Decision>" => there_and_back::<Vec<Decision>>(json),
        "Vec<Option<i64>>" => there_and_back::<Vec<Option<i64>>>(json),
        "Vec<String>" => there_and_back::<Vec<String>>(json),
        "Vec<Vec<u8>>" => there_and_back::<Vec<Vec<u8>>>(json),
        "Vec<i64>" => there_and_back::<Vec<i64>>(json),
        "Vec<u8>" => there_and_back::<Vec<u8>>(json),
        "WorkerId" => there_and_back::<WorkerId>(json),
        "bool" => there_and_back::<bool>(json),
        "char" => there_and_back::<char>(json),
        // An integer is read as a float, and written as one.
        "f64" if !json.contains('.') && !json.contains('e') => read::<f64>(json).map(drop),
        "f64" => there_and_back::<f64>(json),
        "i64" => there_and_back::<i64>(json),
        "u128" => there_and_back::<u128>(json),
        "u64" => there_and_back::<u64>(json),
        "u8" => there_and_back::<u8>(json),
        _ => Err("is a type that this program does not know".to_string()),
    }
}

/// What the encoder refuses because serde_json does; were one read, the refusal would be wrong.
fn refusals() -> Map<String, Value> {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let refused = |json: &str| Value::from(serde_json::from_str::<Value>(json).is_err());
    Map::from_iter([
        ("127 levels".to_string(), refused(&deep(127))),
        ("128 levels".to_string(), refused(&deep(128))),
        ("integer of 308 digits".to_string(), refused(&"9".repeat(308))),
        ("integer of 309 nines".to_string(), refused(&"9".repeat(309))),
        ("NaN".to_string(), refused("NaN")),
        ("lone surrogate".to_string(), refused("\"\\ud800\"")),
        ("byte order mark".to_string(), refused("\u{feff}1")),
    ])
}

fn main() {
    let path = std::env::args().nth(1).expect("the rows, as table.py writes them");
    let text = std::fs::read_to_string(path).expect("the rows can be read");
    let rows: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut failed = 0;
    for Row { name, rust, json } in &rows {
        if let Err(reason) = check(rust, json) {
            failed += 1;
            println!("FAILED {name}: {rust} {reason}");
        }
    }
    println!("{} rows, {failed} failed", rows.len());
    println!("refused: {}", Value::from(refusals()));
    std::process::exit(i32::from(failed > 0));
}
