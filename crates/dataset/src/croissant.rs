//! `croissant.json`: the dataset in MLCommons' Croissant 1.1, for programs that load any dataset.

use serde_json::{Map, Value, json};

use crate::cases::CASES;
use crate::columns::{ColumnFacts, Dictionary};
use crate::facts::Facts;
use crate::out::OutFolder;
use crate::splits::SPLITS;

/// What the file is called.
pub(crate) const CROISSANT: &str = "croissant.json";

/// The record set of the folders of classes.
const CLASSES: &str = "classes";

/// The file. All other files but the card, and checksums, are to be there.
pub(crate) fn croissant(facts: &Facts<'_>, dictionary: &Dictionary, out: &OutFolder) -> Value {
    let mut distribution = vec![
        object(
            out,
            &format!("{CASES}.parquet"),
            "application/x-parquet",
            "the index",
        ),
        object(out, &format!("{CASES}.csv"), "text/csv", "the index as CSV"),
        object(
            out,
            "columns.json",
            "application/json",
            "the dictionary of columns",
        ),
        object(
            out,
            SPLITS,
            "application/json",
            "lists of episodes to train, validate and test with",
        ),
    ];
    let mut records = vec![records(
        CASES,
        "fileObject",
        &format!("{CASES}.parquet"),
        &dictionary[CASES],
    )];
    for table in facts.tables.tables.keys() {
        distribution.push(set(table, &format!("tables/{table}/*/*.parquet")));
        records.push(self::records(
            table,
            "fileSet",
            &set_id(table),
            &dictionary[table],
        ));
    }
    if let Some(spans) = dictionary
        .get("traces_labeled")
        .filter(|_| !facts.tables.classes.is_empty())
    {
        distribution.push(set(CLASSES, "classes/*/*/*.parquet"));
        records.push(self::records(CLASSES, "fileSet", &set_id(CLASSES), spans));
    }
    let mut file = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts.title(),
        "description": facts.summary(),
        "version": "1.0.0",
        "datePublished": facts.last_day(),
        "citeAs": facts.citation(),
        "keywords": ["anomaly detection", "root cause analysis", "microservices", "OpenTelemetry",
                     "traces", "metrics", "logs"],
        "isLiveDataset": false,
        "distribution": distribution,
        "recordSet": records,
    });
    if let Some(licence) = &facts.about.licence {
        file["license"] = json!(licence);
    }
    if let Some(url) = &facts.about.url {
        file["url"] = json!(url);
    }
    if !facts.about.authors.is_empty() {
        let person = |name: &String| json!({"@type": "sc:Person", "name": name});
        file["creator"] = facts.about.authors.iter().map(person).collect();
    }
    file
}

fn object(out: &OutFolder, path: &str, format: &str, description: &str) -> Value {
    let of = out.files().get(path);
    json!({
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "description": description,
        "contentUrl": path,
        "contentSize": format!("{} B", of.map_or(0, |of| of.bytes)),
        "encodingFormat": format,
        "sha256": of.map_or("", |of| &of.sha256),
    })
}

fn set_id(table: &str) -> String {
    format!("{table}-files")
}

/// `includes` is a glob.
fn set(table: &str, includes: &str) -> Value {
    json!({
        "@type": "cr:FileSet",
        "@id": set_id(table),
        "name": set_id(table),
        "description": "a file for each run; checksums in SHA256SUMS",
        "encodingFormat": "application/x-parquet",
        "includes": includes,
    })
}

fn records(table: &str, of: &str, id: &str, columns: &[ColumnFacts]) -> Value {
    let field = |column: &ColumnFacts| {
        let mut source = Map::new();
        source.insert(of.to_owned(), json!({"@id": id}));
        source.insert("extract".to_owned(), json!({"column": column.name}));
        let mut field = json!({
            "@type": "cr:Field",
            "@id": format!("{table}/{}", encoded(&column.name)),
            "name": column.name,
            "description": description(column),
            "dataType": data_type(&column.kind),
            "source": source,
        });
        if column.kind.starts_with("list") {
            field["isArray"] = json!(true);
            field["arrayShape"] = json!("-1");
        }
        field
    };
    json!({
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "field": columns.iter().map(field).collect::<Vec<_>>(),
    })
}

/// A name as a part of a URI.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn description(column: &ColumnFacts) -> String {
    let mut text = column.meaning.clone();
    if !column.null.is_empty() && column.null != "never" {
        text += &format!(" (null: {})", column.null);
    }
    if text.is_empty() {
        return column.name.clone();
    }
    text
}

fn data_type(kind: &str) -> &'static str {
    match kind {
        "boolean" => "sc:Boolean",
        "int32" => "cr:Int32",
        "int64" => "cr:Int64",
        "uint64" => "cr:UInt64",
        "double" => "cr:Float64",
        _ if kind.starts_with("timestamp") => "sc:DateTime",
        _ => "sc:Text",
    }
}

/// That of the specification.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "arrayShape": "cr:arrayShape",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "containedIn": "cr:containedIn",
        "cr": "http://mlcommons.org/croissant/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "description": {"@container": "@language"},
        "equivalentProperty": "cr:equivalentProperty",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isArray": "cr:isArray",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "name": {"@container": "@language"},
        "parentField": "cr:parentField",
        "path": "cr:path",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    })
}
