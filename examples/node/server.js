// Items in MongoDB, the list of them cached in Redis: a small app to run behind appforge.
'use strict';

const http = require('http');
const { MongoClient } = require('mongodb');
const { createClient } = require('redis');

const CACHE_KEY = 'items:newest';
const CACHE_SECONDS = 10;
// The cache may be away: a request waits for it this long, once, and then asks MongoDB.
const CACHE_TIMEOUT_MS = 200;
const MAX_BODY = 64 * 1024;

// The size of the pool and the timeouts are options of the URI.
const mongo = new MongoClient(process.env.MONGODB_URI, { useUnifiedTopology: true });
const cache = createClient({
  url: process.env.REDIS_URL,
  // A command fails at once while there is no connection; the client connects again by itself.
  disableOfflineQueue: true,
  socket: { connectTimeout: 2000, reconnectStrategy: () => 200 },
});
let cacheProblem = '';
cache.on('error', (error) => {
  if (error.message !== cacheProblem) console.error(`Redis: ${error.message}`);
  cacheProblem = error.message;
});
cache.on('ready', () => { cacheProblem = ''; });

const items = () => mongo.db().collection('items');

// What Redis answers, or nothing when it is away or late.
async function fromCache(command) {
  if (!cache.isReady) return null;
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, CACHE_TIMEOUT_MS, null); });
  try {
    return await Promise.race([command().catch(() => null), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function listItems() {
  const cached = await fromCache(() => cache.get(CACHE_KEY));
  if (cached) return { status: 200, text: cached, cache: 'hit' };
  const found = await items().find().sort({ _id: -1 }).limit(20).toArray();
  const text = JSON.stringify({ items: found.map(({ _id, name }) => ({ id: String(_id), name })) });
  await fromCache(() => cache.set(CACHE_KEY, text, { EX: CACHE_SECONDS }));
  return { status: 200, text, cache: 'miss' };
}

async function createItem(body) {
  let name;
  try {
    name = JSON.parse(body).name;
  } catch {
    name = undefined;
  }
  if (typeof name !== 'string' || name.length < 1 || name.length > 100) {
    return problem(400, '`name` must be a text of 1 to 100 characters');
  }
  const { insertedId } = await items().insertOne({ name });
  await fromCache(() => cache.del(CACHE_KEY));
  return { status: 201, text: JSON.stringify({ id: String(insertedId), name }) };
}

async function health() {
  await mongo.db().command({ ping: 1 });
  return { status: 200, text: '{"status":"ok"}' };
}

const problem = (status, error) => ({ status, text: JSON.stringify({ error }) });

async function answer(request) {
  const path = request.url.split('?')[0];
  const reads = request.method === 'GET' || request.method === 'HEAD';
  if ((path === '/' || path === '/healthz') && reads) return health();
  if (path !== '/items') return problem(404, 'not found');
  if (reads) return listItems();
  if (request.method !== 'POST') return problem(405, 'use GET or POST');
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return problem(413, 'at most 64 KiB');
    chunks.push(chunk);
  }
  return createItem(Buffer.concat(chunks));
}

const server = http.createServer(async (request, response) => {
  let result;
  try {
    result = await answer(request);
  } catch (error) {
    console.error(`MongoDB: ${error.message}`);
    result = problem(503, 'the store does not answer');
  }
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(result.text) };
  if (result.cache) headers['X-Cache'] = result.cache;
  response.writeHead(result.status, headers).end(result.text);
});

// Accepted requests end first, then the connections to the stores.
process.once('SIGTERM', () => {
  server.close(async () => {
    await mongo.close();
    if (cache.isReady) await cache.quit().catch(() => {});
    process.exit(0);
  });
  server.closeIdleConnections();
});

async function start() {
  // It goes on trying while Redis is away.
  cache.connect().catch((error) => console.error(`Redis: ${error.message}`));
  await mongo.connect();
  const { PORT, HOST } = process.env;
  server.listen(Number(PORT), HOST, () => console.log(`listening on ${HOST}:${PORT}`));
}

start().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
