//! Countries, cities, distances and their cost; puts shipping into a cart.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::{INNER_TIMEOUT, geography};
use crate::answer::Answer;
use crate::cache::{Cache, Lookup};
use crate::error::ShopError;
use crate::kit::Kit;
use crate::store::{Database, Statement};
use crate::telemetry::Telemetry;
use crate::telemetry::client::Client;
use crate::telemetry::server::Cx;
use loadgen_shop_api::Service;

/// Room for every country's list and some more.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(128).unwrap();
/// How long a list may be out of date.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// Cities that a match returns at most.
const MATCHES: i64 = 10;

const CODES: Statement = Statement {
    operation: "SELECT",
    collection: "code",
    text: "SELECT uuid, code, name FROM code ORDER BY name",
};
const CITIES: Statement = Statement {
    operation: "SELECT",
    collection: "city",
    text: "SELECT uuid, code, name, region, latitude, longitude FROM city \
           WHERE code = ?1 ORDER BY name",
};
const MATCH: Statement = Statement {
    operation: "SELECT",
    collection: "city",
    text: "SELECT uuid, code, name, region, latitude, longitude FROM city \
           WHERE code = ?1 AND substr(lower(name), 1, length(?2)) = ?2 ORDER BY name LIMIT ?3",
};
const CITY: Statement = Statement {
    operation: "SELECT",
    collection: "city",
    text: "SELECT latitude, longitude FROM city WHERE uuid = ?1",
};

/// A country.
#[derive(Debug, Clone, Serialize)]
struct Code {
    uuid: i64,
    code: String,
    name: String,
}

/// A city.
#[derive(Debug, Clone, Serialize)]
struct City {
    uuid: i64,
    code: String,
    name: String,
    region: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Clone)]
struct Shipping {
    telemetry: Arc<Telemetry>,
    database: Database,
    cart: Client,
    codes: Arc<Cache<Arc<Vec<Code>>>>,
    cities: Arc<Cache<Arc<Vec<City>>>>,
}

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let shipping = Shipping {
        telemetry: Arc::clone(&kit.telemetry),
        database: kit.database(schema).await?,
        cart: kit.client(Service::Cart, INNER_TIMEOUT)?,
        codes: kit.cache("codes", CAPACITY, TIME_TO_LIVE),
        cities: kit.cache("cities", CAPACITY, TIME_TO_LIVE),
    };
    Ok(Router::new()
        .route("/codes", get(codes))
        .route("/cities/{code}", get(cities))
        .route("/match/{code}/{text}", get(matching))
        .route("/calc/{uuid}", get(calc))
        .route("/confirm/{id}", post(confirm))
        .with_state(shipping))
}

async fn codes(State(shipping): State<Shipping>, cx: Cx) -> Result<Json<Arc<Vec<Code>>>, Answer> {
    let key = match shipping.codes.lookup(&cx.0, "all") {
        Lookup::Hit(codes) => return Ok(Json(codes)),
        Lookup::Miss(key) => key,
    };
    let codes = Arc::new(
        shipping
            .database
            .run(&cx.0, |s| s.rows(&CODES, [], code))
            .await?,
    );
    shipping.codes.store(key, Arc::clone(&codes));
    Ok(Json(codes))
}

async fn cities(
    State(shipping): State<Shipping>,
    cx: Cx,
    Path(code): Path<String>,
) -> Result<Json<Arc<Vec<City>>>, Answer> {
    let code = code.to_lowercase();
    let key = match shipping.cities.lookup(&cx.0, &code) {
        Lookup::Hit(cities) => return Ok(Json(cities)),
        Lookup::Miss(key) => key,
    };
    let cities = shipping
        .database
        .run(&cx.0, move |s| s.rows(&CITIES, [code], city))
        .await?;
    let cities = Arc::new(cities);
    shipping.cities.store(key, Arc::clone(&cities));
    Ok(Json(cities))
}

async fn matching(
    State(shipping): State<Shipping>,
    cx: Cx,
    Path((code, text)): Path<(String, String)>,
) -> Result<Json<Vec<City>>, Answer> {
    if text.chars().count() < 3 {
        return Err(Answer::bad("text is shorter than 3 characters"));
    }
    let (code, text) = (code.to_lowercase(), text.to_lowercase());
    let found = shipping
        .database
        .run(&cx.0, move |s| {
            s.rows(&MATCH, params![code, text, MATCHES], city)
        })
        .await?;
    Ok(Json(found))
}

async fn calc(
    State(shipping): State<Shipping>,
    cx: Cx,
    Path(uuid): Path<String>,
) -> Result<Json<Value>, Answer> {
    let uuid: i64 = uuid
        .parse()
        .map_err(|_| Answer::bad("the city's uuid must be a number"))?;
    let place = shipping
        .database
        .run(&cx.0, move |s| {
            s.row(&CITY, [uuid], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await?;
    let Some((latitude, longitude)) = place else {
        return Err(Answer::not_found("city not found"));
    };
    let distance = geography::distance_from_home_km(latitude, longitude);
    Ok(Json(
        json!({ "distance": distance, "cost": geography::cost(distance) }),
    ))
}

async fn confirm(
    State(shipping): State<Shipping>,
    cx: Cx,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let reply = shipping
        .cart
        .call(&cx.0, Method::POST, "/shipping/{id}", &[&id], Some(&body))
        .await?;
    if reply.status == axum::http::StatusCode::BAD_REQUEST {
        return Err(Answer::bad("shipping data missing"));
    }
    let Some(cart) = reply.found()? else {
        return Err(Answer::not_found("cart not found"));
    };
    shipping
        .telemetry
        .event(&cx.0, "shipping confirmed", vec![("cart.id", id.into())]);
    Ok(Json(cart))
}

fn code(row: &Row<'_>) -> rusqlite::Result<Code> {
    Ok(Code {
        uuid: row.get(0)?,
        code: row.get(1)?,
        name: row.get(2)?,
    })
}

fn city(row: &Row<'_>) -> rusqlite::Result<City> {
    Ok(City {
        uuid: row.get(0)?,
        code: row.get(1)?,
        name: row.get(2)?,
        region: row.get(3)?,
        latitude: row.get(4)?,
        longitude: row.get(5)?,
    })
}

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE code (uuid INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
         CREATE TABLE city (uuid INTEGER PRIMARY KEY, code TEXT NOT NULL, name TEXT NOT NULL,
                            region TEXT NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL);
         CREATE INDEX city_by_code ON city (code, name);",
    )?;
    for country in geography::COUNTRIES {
        connection.execute(
            "INSERT INTO code (code, name) VALUES (?1, ?2)",
            [country.code, country.name],
        )?;
        for city in country.cities() {
            connection.execute(
                "INSERT INTO city (code, name, region, latitude, longitude)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    country.code,
                    city.name,
                    city.region,
                    city.latitude,
                    city.longitude
                ],
            )?;
        }
    }
    Ok(())
}
