//! Accounts, order history, ids for anonymous customers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, Row};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::error::ShopError;
use crate::kit::Kit;
use crate::store::{Database, Statement};
use crate::telemetry::Telemetry;
use crate::telemetry::server::Cx;

const NEXT_ID: Statement = Statement {
    operation: "UPDATE",
    collection: "counter",
    text: "UPDATE counter SET value = value + 1 WHERE name = 'anonymous' RETURNING value",
};
const FIND: Statement = Statement {
    operation: "SELECT",
    collection: "account",
    text: "SELECT name, email, password FROM account WHERE name = ?1",
};
const ALL: Statement = Statement {
    operation: "SELECT",
    collection: "account",
    text: "SELECT name, email, password FROM account ORDER BY rowid LIMIT 1000",
};
const ADD: Statement = Statement {
    operation: "INSERT",
    collection: "account",
    text: "INSERT INTO account (name, password, email) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
};
const ADD_ORDER: Statement = Statement {
    operation: "INSERT",
    collection: "orders",
    text: "INSERT INTO orders (name, orderid, cart) VALUES (?1, ?2, ?3)",
};
const HISTORY: Statement = Statement {
    operation: "SELECT",
    collection: "orders",
    // The last hundred, oldest first: a run makes thousands for the same few names.
    text: "SELECT orderid, cart FROM (SELECT id, orderid, cart FROM orders WHERE name = ?1 \
           ORDER BY id DESC LIMIT 100) ORDER BY id",
};

/// An account as it is answered, without its password.
#[derive(Debug, Serialize)]
struct Account {
    name: String,
    email: String,
    #[serde(skip)]
    password: String,
}

#[derive(Clone)]
struct Users {
    telemetry: Arc<Telemetry>,
    database: Database,
}

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let users = Users {
        telemetry: Arc::clone(&kit.telemetry),
        database: kit.database(schema).await?,
    };
    Ok(Router::new()
        .route("/uniqueid", get(unique_id))
        .route("/check/{id}", get(check))
        .route("/users", get(all))
        .route("/login", post(login))
        .route("/register", post(register))
        .route("/order/{id}", post(add_order))
        .route("/history/{id}", get(history))
        .with_state(users))
}

impl Users {
    async fn find(&self, cx: &Cx, name: String) -> Result<Option<Account>, Answer> {
        let found = self
            .database
            .run(&cx.0, move |s| s.row(&FIND, [name], account));
        Ok(found.await?)
    }
}

async fn unique_id(State(users): State<Users>, cx: Cx) -> Result<Json<Value>, Answer> {
    let next: Option<i64> = users
        .database
        .run(&cx.0, |s| s.row(&NEXT_ID, [], |row| row.get(0)))
        .await?;
    let next = next.ok_or_else(|| Answer::failed("the counter of ids is gone"))?;
    Ok(Json(json!({ "uuid": format!("anonymous-{next}") })))
}

async fn check(
    State(users): State<Users>,
    cx: Cx,
    Path(id): Path<String>,
) -> Result<&'static str, Answer> {
    match users.find(&cx, id).await? {
        Some(_) => Ok("OK"),
        None => Err(Answer::not_found("user not found")),
    }
}

async fn all(State(users): State<Users>, cx: Cx) -> Result<Json<Vec<Account>>, Answer> {
    Ok(Json(
        users
            .database
            .run(&cx.0, |s| s.rows(&ALL, [], account))
            .await?,
    ))
}

/// A field that must be there and not be empty.
fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field)?.as_str().filter(|text| !text.is_empty())
}

async fn login(
    State(users): State<Users>,
    cx: Cx,
    Json(body): Json<Value>,
) -> Result<Json<Account>, Answer> {
    let (Some(name), Some(password)) = (text(&body, "name"), text(&body, "password")) else {
        return Err(Answer::bad("name or password not supplied"));
    };
    let Some(account) = users.find(&cx, name.to_owned()).await? else {
        return Err(Answer::not_found("name not found"));
    };
    if account.password != password {
        return Err(Answer::not_found("incorrect password"));
    }
    users.telemetry.event(
        &cx.0,
        "login",
        vec![("user.name", account.name.clone().into())],
    );
    Ok(Json(account))
}

async fn register(
    State(users): State<Users>,
    cx: Cx,
    Json(body): Json<Value>,
) -> Result<&'static str, Answer> {
    let fields = (
        text(&body, "name"),
        text(&body, "password"),
        text(&body, "email"),
    );
    let (Some(name), Some(password), Some(email)) = fields else {
        return Err(Answer::bad("insufficient data"));
    };
    let account = [name.to_owned(), password.to_owned(), email.to_owned()];
    let added = users
        .database
        .run(&cx.0, move |s| s.execute(&ADD, account))
        .await?;
    if added == 0 {
        return Err(Answer::bad("name already exists"));
    }
    users.telemetry.event(
        &cx.0,
        "registered",
        vec![("user.name", name.to_owned().into())],
    );
    Ok("OK")
}

async fn add_order(
    State(users): State<Users>,
    cx: Cx,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<&'static str, Answer> {
    let Some(order) = text(&body, "orderid").map(str::to_owned) else {
        return Err(Answer::bad("orderid not supplied"));
    };
    let cart = body.get("cart").cloned().unwrap_or_default().to_string();
    let added = users
        .database
        .run(&cx.0, move |s| {
            s.atomically(|s| match s.row(&FIND, [&id], account)? {
                Some(_) => s.execute(&ADD_ORDER, [&id, &order, &cart]),
                None => Ok(0),
            })
        })
        .await?;
    match added {
        0 => Err(Answer::not_found("name not found")),
        _ => Ok("OK"),
    }
}

async fn history(
    State(users): State<Users>,
    cx: Cx,
    Path(id): Path<String>,
) -> Result<Response, Answer> {
    let name = id.clone();
    let found = users
        .database
        .run(&cx.0, move |s| {
            if s.row(&FIND, [&id], account)?.is_none() {
                return Ok(None);
            }
            let orders = s.rows(&HISTORY, [&id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            Ok(Some(orders))
        })
        .await?;
    let Some(orders) = found else {
        return Ok((StatusCode::NOT_FOUND, "history not found").into_response());
    };
    let history: Vec<Value> = orders
        .into_iter()
        .map(|(order, cart)| {
            let cart: Value = serde_json::from_str(&cart).unwrap_or_default();
            json!({ "orderid": order, "cart": cart })
        })
        .collect();
    Ok(Json(json!({ "name": name, "history": history })).into_response())
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        name: row.get(0)?,
        email: row.get(1)?,
        password: row.get(2)?,
    })
}

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE account (name TEXT PRIMARY KEY, password TEXT NOT NULL, email TEXT NOT NULL);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT NOT NULL, orderid TEXT NOT NULL,
                              cart TEXT NOT NULL);
         CREATE INDEX orders_by_name ON orders (name, id);
         CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
         INSERT INTO counter VALUES ('anonymous', 0);
         INSERT INTO account (name, password, email) VALUES
             ('user', 'password', 'user@shop.example'),
             ('stan', 'bigbrain', 'stan@shop.example'),
             ('partner-57', 'worktogether', 'partner-57@shop.example');",
    )
}
