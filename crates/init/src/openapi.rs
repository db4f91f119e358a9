//! Routes of an OpenAPI document: 3.0, 3.1, and 2.0 (Swagger) as far as they are alike.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::draft::{Draft, DraftFlow, DraftStep, Variable};
use crate::{UnusableDocument, name};

/// Flows of a description of an API, one for each tag. Only requests that change nothing are in
/// them (GET); the others are named as left out.
///
/// # Errors
/// The document is no such description, or has no route that can be asked for.
pub fn from_openapi(document: &Value) -> Result<Draft, UnusableDocument> {
    let has = |key: &str| document.get(key).is_some();
    let Some(paths) = document.get("paths").and_then(Value::as_object) else {
        return Err(UnusableDocument(
            "it has no `paths`, as OpenAPI documents have".to_owned(),
        ));
    };
    if !has("openapi") && !has("swagger") {
        return Err(UnusableDocument(
            "it says neither `openapi` nor `swagger`".to_owned(),
        ));
    }
    let mut draft = Draft {
        base_url: server(document),
        ..Draft::default()
    };
    let before = base_path(document);
    let mut flows: BTreeMap<String, DraftFlow> = BTreeMap::new();
    for (path, item) in paths {
        let item = resolved(document, item);
        for (method, operation) in item.as_object().into_iter().flatten() {
            let method = method.to_ascii_uppercase();
            if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                continue;
            }
            if method != "GET" {
                draft
                    .left_out
                    .push(format!("{method} {path}, which may change something"));
                continue;
            }
            let tag = operation.pointer("/tags/0").and_then(Value::as_str);
            let flow_name = name(tag.unwrap_or("visit"));
            let flow = flows.entry(flow_name.clone()).or_insert_with(|| DraftFlow {
                name: flow_name,
                ..DraftFlow::default()
            });
            let mut path = format!("{before}{path}");
            for parameter in parameters(document, item, operation) {
                fill_in(flow, &mut path, parameter);
            }
            flow.push(DraftStep {
                name: match operation.get("operationId").and_then(Value::as_str) {
                    Some(id) => id.to_owned(),
                    None => path.replace(['$', '{', '}'], ""),
                },
                method,
                path,
                content_type: media_type(document, operation),
                ..DraftStep::default()
            });
        }
    }
    draft.flows = flows.into_values().collect();
    if draft.flows.is_empty() {
        return Err(UnusableDocument(
            "it has no route that is asked for by GET".to_owned(),
        ));
    }
    Ok(draft)
}

/// What a reference (`$ref`) within the document stands for.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = value.get("$ref").and_then(Value::as_str);
    let pointer = target.and_then(|target| target.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

/// The first server's address, if it is whole.
fn server(document: &Value) -> Option<String> {
    let url = document.pointer("/servers/0/url")?.as_str()?;
    let url = url::Url::parse(url).ok()?;
    let origin = url.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// What stands before each path.
fn base_path(document: &Value) -> String {
    let of_server = document
        .pointer("/servers/0/url")
        .and_then(Value::as_str)
        .map(|url| match url::Url::parse(url) {
            Ok(url) => url.path().to_owned(),
            Err(_) => url.to_owned(),
        });
    let of_swagger = document.get("basePath").and_then(Value::as_str);
    let path = of_server.or_else(|| of_swagger.map(str::to_owned));
    let path = path.unwrap_or_default();
    let path = path.trim_end_matches('/');
    match path.starts_with('/') {
        true => path.to_owned(),
        false => String::new(),
    }
}

/// Parameters of a path and of its operation.
fn parameters<'d>(
    document: &'d Value,
    item: &'d Value,
    operation: &'d Value,
) -> impl Iterator<Item = &'d Value> {
    [item, operation]
        .into_iter()
        .filter_map(|at| at.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| resolved(document, parameter))
}

/// Puts a variable where a parameter's value goes: in the path, or in the query if it must be there.
fn fill_in(flow: &mut DraftFlow, path: &mut String, parameter: &Value) {
    let text = |key: &str| parameter.get(key).and_then(Value::as_str);
    let (Some(original), Some(place)) = (text("name"), text("in")) else {
        return;
    };
    let variable = name(original).replace('-', "_");
    match place {
        "path" => {
            *path = path.replace(&format!("{{{original}}}"), &format!("${{{variable}}}"));
        }
        "query" if parameter.get("required") == Some(&Value::Bool(true)) => {
            let separator = if path.contains('?') { '&' } else { '?' };
            *path = format!("{path}{separator}{original}=${{{variable}}}");
        }
        _ => return,
    }
    if flow.variables.iter().any(|known| known.name == variable) {
        return;
    }
    let values = examples(parameter);
    flow.variables.push(Variable {
        name: variable,
        is_made_up: values.is_empty(),
        values: match values.is_empty() {
            true => vec![Value::from(1)],
            false => values,
        },
    });
}

/// Values that the document gives for a parameter.
fn examples(parameter: &Value) -> Vec<Value> {
    let is_scalar = |value: &&Value| !value.is_array() && !value.is_object() && !value.is_null();
    let list = |pointer: &str| {
        let values = parameter.pointer(pointer).and_then(Value::as_array);
        values.into_iter().flatten().filter(is_scalar).cloned()
    };
    let one = |pointer: &str| parameter.pointer(pointer).filter(is_scalar).cloned();
    let named = parameter.get("examples").and_then(Value::as_object);
    let named = named.into_iter().flatten();
    let mut values: Vec<Value> = named
        .filter_map(|(_, example)| example.get("value").filter(is_scalar).cloned())
        .collect();
    values.extend(one("/example"));
    values.extend(list("/schema/enum").chain(list("/enum")));
    values.extend(list("/schema/examples"));
    if values.is_empty() {
        values.extend(one("/schema/example").or_else(|| one("/schema/default")));
    }
    values
}

/// The media type of the first answer of success.
fn media_type(document: &Value, operation: &Value) -> Option<String> {
    let responses = operation.get("responses")?.as_object()?;
    let (_, success) = responses.iter().find(|(code, _)| code.starts_with('2'))?;
    let content = resolved(document, success).get("content")?.as_object()?;
    let (kind, _) = content.iter().next()?;
    let kind = kind.split(';').next()?.trim();
    (kind.contains('/') && !kind.contains('*')).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::{PlanOptions, load_str};
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "openapi": "3.0.3",
            "servers": [{"url": "http://shop.example:8080/api/"}],
            "components": {"parameters": {"Id": {
                "name": "order-id", "in": "path", "required": true,
                "schema": {"type": "integer", "enum": [3, 4]}
            }}},
            "paths": {
                "/orders": {
                    "get": {
                        "tags": ["Orders"], "operationId": "listOrders",
                        "parameters": [
                            {"name": "state", "in": "query", "required": true, "example": "open"},
                            {"name": "page", "in": "query"}
                        ],
                        "responses": {"200": {"content": {"application/json; charset=utf-8": {}}}}
                    },
                    "post": {"tags": ["Orders"]}
                },
                "/orders/{order-id}": {
                    "parameters": [{"$ref": "#/components/parameters/Id"}],
                    "get": {"tags": ["Orders"], "responses": {"404": {}, "2XX": {"content": {"*/*": {}}}}}
                },
                "/users/{name}": {"get": {"parameters": [{"name": "name", "in": "path"}]}}
            }
        })
    }

    #[test]
    fn routes_become_flows_by_tag() {
        let draft = from_openapi(&document()).unwrap();
        assert_eq!(draft.base_url.as_deref(), Some("http://shop.example:8080"));
        let flows: Vec<_> = draft
            .flows
            .iter()
            .map(|f| (f.name.as_str(), f.steps.len()))
            .collect();
        assert_eq!(flows, [("orders", 2), ("visit", 1)]);
        let steps = &draft.flows[0].steps;
        assert_eq!(steps[0].path, "/api/orders?state=${state}");
        assert_eq!(steps[0].name, "listorders");
        assert_eq!(steps[0].content_type.as_deref(), Some("application/json"));
        assert_eq!(steps[1].path, "/api/orders/${order_id}");
        assert_eq!(steps[1].content_type, None);
        let values: Vec<_> = draft.flows[0].variables.iter().map(|v| &v.values).collect();
        assert_eq!(values, [&vec![json!("open")], &vec![json!(3), json!(4)]]);
        assert!(draft.flows[1].variables[0].is_made_up);
        assert_eq!(draft.left_out, ["POST /orders, which may change something"]);
        load_str(
            "t.yaml",
            &draft.file("http://shop.example"),
            &PlanOptions::default(),
        )
        .unwrap_or_else(|errors| panic!("{errors}"));
    }

    #[test]
    fn other_documents_are_refused() {
        for document in [
            json!(null),
            json!({"paths": {}}),
            json!({"openapi": "3.1.0"}),
            json!({"openapi": "3.1.0", "paths": {"/x": {"post": {}}}}),
        ] {
            assert!(from_openapi(&document).is_err(), "{document}");
        }
    }
}
