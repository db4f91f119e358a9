//! Stars for products.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::INNER_TIMEOUT;
use crate::answer::Answer;
use crate::error::ShopError;
use crate::kit::Kit;
use crate::store::{Database, Statement};
use crate::telemetry::Telemetry;
use crate::telemetry::client::Client;
use crate::telemetry::server::Cx;
use loadgen_shop_api::Service;

const FETCH: Statement = Statement {
    operation: "SELECT",
    collection: "rating",
    text: "SELECT stars, votes FROM rating WHERE sku = ?1",
};
const RATE: Statement = Statement {
    operation: "INSERT",
    collection: "rating",
    text: "INSERT INTO rating (sku, stars, votes) VALUES (?1, ?2, 1) \
           ON CONFLICT (sku) DO UPDATE SET stars = stars + excluded.stars, votes = votes + 1",
};

#[derive(Clone)]
struct Ratings {
    telemetry: Arc<Telemetry>,
    database: Database,
    catalogue: Client,
}

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let ratings = Ratings {
        telemetry: Arc::clone(&kit.telemetry),
        database: kit.database(schema).await?,
        catalogue: kit.client(Service::Catalogue, INNER_TIMEOUT)?,
    };
    Ok(Router::new()
        .route("/api/rate/{sku}/{score}", put(rate))
        .route("/api/fetch/{sku}", get(fetch))
        .with_state(ratings))
}

impl Ratings {
    async fn must_exist(&self, cx: &Cx, sku: &str) -> Result<(), Answer> {
        let reply = self.catalogue.get(&cx.0, "/product/{sku}", &[sku]).await?;
        match reply.exists()? {
            true => Ok(()),
            false => Err(Answer::not_found("SKU not found")),
        }
    }
}

async fn fetch(
    State(ratings): State<Ratings>,
    cx: Cx,
    Path(sku): Path<String>,
) -> Result<Json<Value>, Answer> {
    ratings.must_exist(&cx, &sku).await?;
    let found: Option<(i64, i64)> = ratings
        .database
        .run(&cx.0, move |s| {
            s.row(&FETCH, [sku], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await?;
    let (stars, votes) = found.unwrap_or((0, 0));
    let average = if votes == 0 {
        0.0
    } else {
        stars as f64 / votes as f64
    };
    Ok(Json(json!({
        "avg_rating": (average * 100.0).round() / 100.0,
        "rating_count": votes,
    })))
}

async fn rate(
    State(ratings): State<Ratings>,
    cx: Cx,
    Path((sku, score)): Path<(String, String)>,
) -> Result<Json<Value>, Answer> {
    let score: i64 = score
        .parse()
        .map_err(|_| Answer::bad("the score must be a number from 1 to 5"))?;
    // Out of range counts as the nearest, as in the original.
    let score = score.clamp(1, 5);
    ratings.must_exist(&cx, &sku).await?;
    let rated = sku.clone();
    ratings
        .database
        .run(&cx.0, move |s| s.execute(&RATE, params![sku, score]))
        .await?;
    ratings.telemetry.event(
        &cx.0,
        "rated",
        vec![
            ("product.sku", rated.into()),
            ("rating.score", score.into()),
        ],
    );
    Ok(Json(json!({ "success": true })))
}

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE rating (sku TEXT PRIMARY KEY, stars INTEGER NOT NULL, votes INTEGER NOT NULL);
         INSERT INTO rating VALUES ('Watson', 9, 2), ('UHJ', 12, 3), ('STAN-1', 20, 4);",
    )
}
