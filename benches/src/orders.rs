//! Orders: placed in a shop twin, until an ERP twin has them.
//!
//! Reads   the ERP's orders.   Writes  orders into the shop, as its customers would.
//! Never   counts an order twice: one that came twice is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::floors::by_hand::ERP_KEY;
use crate::flow::{Who, floor, office};
use crate::load::{House, catalogue};
use crate::report::{Row, Wanted};
use crate::wire::Wire;

/// Products that are bought.
const PRODUCTS: usize = 50;

/// Customers at the till at one time.
const TILLS: usize = 8;

const PATIENCE: Duration = Duration::from_secs(300);

/// What one run found.
struct Ran {
    per_second: f64,
    lost: usize,
    doubled: usize,
    confirmed_after: Option<f64>,
}

pub async fn row(orders: usize, turns: usize) -> Result<Row> {
    let work = format!("{orders} orders placed in a shop twin, until an ERP twin has them");
    let mut row = Row::new(&work, "orders/s", Wanted::AtLeast(0.20));
    for turn in 0..turns {
        for who in [Who::Floor, Who::Kilter] {
            let ran = run(who, orders, turn).await?;
            let to = if who == Who::Floor { &mut row.floor } else { &mut row.kilter };
            to.push(ran.per_second);
            let (lost, doubled) = (ran.lost, ran.doubled);
            ensure!(who == Who::Floor || lost + doubled == 0, "{lost} lost, {doubled} doubled");
            if let Some(seconds) = ran.confirmed_after {
                row.notes = vec![format!("0 lost, 0 doubled; all confirmed after {seconds:.1} s")];
            }
        }
    }
    Ok(row)
}

async fn run(who: Who, orders: usize, turn: usize) -> Result<Ran> {
    let name = format!("orders-{}-{turn}", if who == Who::Floor { "floor" } else { "kilter" });
    let secret = "webhook_secret = \"hush\"";
    let house = House::start(&name, &catalogue(PRODUCTS, 1_000_000), secret).await?;
    house.rig.run(&["sync"]).await?;
    let _running = match who {
        Who::Kilter => house.rig.serve().await?.0,
        Who::Floor => {
            let running = floor("orders", &house.rig, &house.erp.address.to_string()).await?;
            subscribe(&house).await?;
            running
        }
    };
    // Kilter subscribes, and polls once.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let started = Instant::now();
    place(&house, orders).await?;
    // Who looks counts: a look at a thousand orders takes its time on the cores that are measured.
    let mut wire = Wire::open(house.erp.address).await?;
    let seconds = counted(&mut wire, NAMED, orders, started).await?;
    let confirmed = match who {
        Who::Kilter => Some(counted(&mut wire, SOLD, orders, started).await?),
        Who::Floor => None,
    };
    let state: Value = office(&house.http, &house.erp, "state?part=orders").await?;
    let there = state["orders"].as_array().map_or(&[][..], Vec::as_slice);
    let references: BTreeSet<&str> =
        there.iter().filter_map(|o| o["client_order_ref"].as_str()).collect();
    Ok(Ran {
        per_second: orders as f64 / seconds,
        lost: orders.saturating_sub(references.len()),
        doubled: there.len() - references.len(),
        confirmed_after: confirmed,
    })
}

const NAMED: &str = r#"{"domain":[["client_order_ref","!=",false]]}"#;
const SOLD: &str = r#"{"domain":[["state","=","sale"]]}"#;

/// Seconds until the ERP counts so many.
async fn counted(wire: &mut Wire, domain: &str, orders: usize, started: Instant) -> Result<f64> {
    loop {
        let line = "POST /json/2/sale.order/search_count";
        let (status, told) = wire.send(line, ERP_KEY, domain.as_bytes()).await?;
        let told = String::from_utf8_lossy(told).into_owned();
        ensure!(status < 300, "count orders: {status} {told}");
        let at = started.elapsed();
        if told.trim().parse::<usize>()? >= orders {
            return Ok(at.as_secs_f64());
        }
        ensure!(at < PATIENCE, "{told} of {orders} in the ERP: {domain}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The shop tells the floor of each new order.
async fn subscribe(house: &House) -> Result<()> {
    let hook = json!({ "name": "floor", "topic": "order.created", "status": "active",
        "secret": "hush", "delivery_url": format!("http://{}/hooks/shop", house.rig.listen) });
    let url = format!("{}/wp-json/wc/v3/webhooks", house.shop.url());
    let request = house.http.post(url).basic_auth("ck_test", Some("cs_test"));
    let request = request.header("content-type", "application/json");
    let answer = request.body(hook.to_string()).send().await?;
    ensure!(answer.status().is_success(), "subscribe: {}", answer.text().await?);
    Ok(())
}

async fn place(house: &House, orders: usize) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for till in 0..TILLS {
        let address = house.shop.address;
        tasks.spawn(async move {
            let mut wire = Wire::open(address).await?;
            for n in (till..orders).step_by(TILLS) {
                let buyer = json!({ "first_name": "Ada", "last_name": format!("L{}", n % 40),
                    "email": format!("ada{}@example.com", n % 40), "address_1": "Weg 1",
                    "city": "Berlin", "postcode": "10115", "country": "DE" });
                let sku = format!("MUG-{:06}", n % (PRODUCTS * 4 / 10));
                let order = json!({ "lines": [{ "sku": sku, "quantity": 1 + n % 3 }],
                    "billing": buyer });
                let body = order.to_string();
                let (status, told) = wire.send("POST /_twin/orders", "", body.as_bytes()).await?;
                let told = String::from_utf8_lossy(told).into_owned();
                ensure!(status < 300, "place an order: {status} {told}");
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
