// The vendor's JavaScript client drives the twin of Shopify: `node client.mjs http://127.0.0.1:PORT`.
//
// As an app would: a token by client credentials, products page by page by the cursor, stock set
// against what was read, then a webhook, judged by the client's own check of its signature. The twin
// must hold products already (shopify_clients.py seeds them). Ends with 1 if anything differs.
//
// What is adapted: the client calls https://SHOP.myshopify.com; its fetch is told the twin's address
// instead. Version 13 is the newest that runs on Node 20; the API's version is given as a text.
import assert from "node:assert/strict";
import http from "node:http";
import { randomUUID } from "node:crypto";

import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import { setAbstractFetchFunc } from "@shopify/shopify-api/runtime";

const VERSION = "2026-10";
const SHOP = "twin.myshopify.com";
const SECRET = "hush";
const PAGE = 3;
const WAIT_MS = 10_000;

const base = process.argv[2];
assert.match(base ?? "", /^http:\/\//, "the twin's address is missing");
setAbstractFetchFunc((url, init) => fetch(String(url).replace(`https://${SHOP}`, base), init));

const shopify = shopifyApi({
  apiKey: "twin_client",
  apiSecretKey: SECRET,
  apiVersion: VERSION,
  scopes: ["write_products", "write_inventory"],
  hostName: "example.com",
  isEmbeddedApp: false,
  logger: { level: 0 },
});

const { session } = await shopify.auth.clientCredentials({ shop: SHOP });
const admin = new shopify.clients.Graphql({ session });
const ask = async (query, variables = {}) => (await admin.request(query, { variables })).data;

async function pageThrough() {
  const query = `query($after: String) { products(first: ${PAGE}, after: $after) {
    nodes { id variants(first: 1) { nodes { inventoryItem { id } } } }
    pageInfo { hasNextPage endCursor } } }`;
  const found = [];
  let pages = 0;
  for (let after = null; ; ) {
    const { nodes, pageInfo } = (await ask(query, { after })).products;
    found.push(...nodes);
    pages += 1;
    if (!pageInfo.hasNextPage) return { found, pages };
    after = pageInfo.endCursor;
  }
}

async function setStock(item, place) {
  const read = `query($i: ID!, $l: ID!) { inventoryItem(id: $i) { inventoryLevel(locationId: $l) {
    quantities(names: ["available"]) { quantity } } } }`;
  const write = `mutation($input: InventorySetQuantitiesInput!, $key: String!) {
    inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code } } }`;
  const now = async () =>
    (await ask(read, { i: item, l: place })).inventoryItem.inventoryLevel.quantities[0].quantity;
  const put = async (quantity, changeFromQuantity) => {
    const row = { inventoryItemId: item, locationId: place, quantity, changeFromQuantity };
    const input = { name: "available", reason: "correction", quantities: [row] };
    return (await ask(write, { input, key: randomUUID() })).inventorySetQuantities.userErrors;
  };
  const seen = await now();
  assert.deepEqual(await put(seen + 5, seen), []);
  assert.equal((await put(seen + 9, seen))[0].code, "CHANGE_FROM_QUANTITY_STALE");
  assert.equal(await now(), seen + 5);
  return seen + 5;
}

// What came, and what the client says of it, as it is and with a byte changed.
async function judged(request, raw) {
  const check = (rawBody) =>
    shopify.webhooks.validate({ rawBody, rawRequest: request, rawResponse: null });
  return { good: await check(raw), bent: await check(`${raw} `), body: JSON.parse(raw) };
}

const hooks = [];
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    hooks.push(await judged(request, Buffer.concat(parts).toString("utf8")));
    response.end();
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

try {
  const { found, pages } = await pageThrough();
  assert.ok(found.length > PAGE, "the twin holds too few products");
  assert.equal(pages, Math.ceil(found.length / PAGE));
  assert.equal(new Set(found.map((p) => p.id)).size, found.length);
  const uri = `http://127.0.0.1:${server.address().port}/hook`;
  const subscribe = `mutation($uri: String!) { webhookSubscriptionCreate(
    topic: INVENTORY_LEVELS_UPDATE, webhookSubscription: { uri: $uri, format: JSON }) {
      userErrors { message } } }`;
  assert.deepEqual((await ask(subscribe, { uri })).webhookSubscriptionCreate.userErrors, []);
  const place = (await ask("{ locations(first: 1) { nodes { id } } }")).locations.nodes[0].id;
  const figure = await setStock(found.at(-1).variants.nodes[0].inventoryItem.id, place);
  for (const end = Date.now() + WAIT_MS; !hooks.length && Date.now() < end; )
    await new Promise((later) => setTimeout(later, 50));
  assert.ok(hooks.length, "no webhook came");
  const [{ good, bent, body }] = hooks;
  assert.equal(good.valid, true, JSON.stringify(good));
  assert.equal(good.topic, "INVENTORY_LEVELS_UPDATE");
  assert.equal(bent.valid, false, "a changed body was taken");
  assert.equal(body.available, figure);
  console.log(`the vendor's JavaScript client: ${found.length} products in ${pages} pages, ` +
    "stock, a webhook that it verified: good");
} finally {
  server.close();
  server.closeAllConnections();
}
