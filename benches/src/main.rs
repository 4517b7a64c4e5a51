//! temporary main
use kilter_bench::flow::{Scene, Who};
use kilter_bench::storm::{Course, Event, rage};

async fn floor_twin(n: usize) -> anyhow::Result<()> {
    let twin = kilter_twin::start("woocommerce", kilter_twin::Options::default()).await?;
    let products: Vec<_> = (0..n).map(|i| serde_json::json!({"name": format!("P {i}"), "type": "simple", "sku": format!("SKU-{i:07}"), "regular_price": "3.00", "stock_quantity": 5, "manage_stock": true})).collect();
    let http = reqwest::Client::new();
    let a = http
        .post(format!("{}/_twin/seed", twin.url()))
        .header("content-type", "application/json")
        .body(serde_json::json!({"products": products}).to_string())
        .send()
        .await?;
    println!("{}", a.status());
    let rig = kilter_bench::rig::Rig::new("ft")?;
    let _running = kilter_bench::flow::floor("stock", &rig, &twin.address.to_string()).await?;
    let room = kilter_bench::canned::Canned::start(n).await?;
    let mut events = vec![];
    for r in 0..3 {
        for i in 0..n {
            room.stockroom().set(i, 1000 + r);
            let b = room.stockroom().hook(i, 1500);
            events.push(Event::new(i, 1000 + r, b));
        }
    }
    let count = events.len();
    let course = std::sync::Arc::new(Course::default());
    let t = std::time::Instant::now();
    rage(rig.listen, "/hooks/stockroom", events, None, &course).await;
    println!("acked {:?} {:?}", course, t.elapsed());
    loop {
        let text = http.get(format!("{}/_twin/calls", twin.url())).send().await?.text().await?;
        let v: serde_json::Value = serde_json::from_str(&text)?;
        if t.elapsed().as_secs() > 60 || v["writes"].as_u64().unwrap_or(0) >= count as u64 {
            println!("{v} {:?}", t.elapsed());
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["floor", "stock", listen, target] => {
            kilter_bench::floors::by_hand::stock(listen.parse()?, target.parse()?).await
        }
        ["ft", n] => floor_twin(n.parse()?).await,
        ["flow", what, articles, rounds] => {
            let mut scene = Scene::start("flow", articles.parse()?, "").await?;
            println!("loaded");
            for who in [Who::Floor, Who::Kilter] {
                match *what {
                    "storm" => println!("{who:?} {:?}", scene.storm(who, rounds.parse()?).await?),
                    "steady" => println!("{who:?} {:?}", scene.steady(who, rounds.parse()?).await?),
                    _ => println!("{who:?} {:?}", scene.killed(who, rounds.parse()?).await?),
                }
            }
            Ok(())
        }
        _ => anyhow::bail!("what?"),
    }
}
