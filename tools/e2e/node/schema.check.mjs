// Checks the golden wire files against the JSON Schemas, each row's by the
// catalogue: node schema.check.mjs <proto folder>.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const proto = process.argv[2];
const read = async (...path) => JSON.parse(await readFile(join(proto, ...path), "utf8"));
const problems = [];
let checked = 0;

async function check(type, file, part, value) {
  const validate = addFormats(new Ajv({ strict: false })).compile(await read("schema", "json", `${type}.json`));
  checked++;
  if (!validate(value)) problems.push(`${file} ${part}: ${validate.errors.map((e) => `${e.instancePath} ${e.message}`).join(", ")}`);
}

const catalogue = await read("schema", "catalogue.json");
for (const row of catalogue.requests) {
  const file = `${row.subject ?? row.event.replaceAll(":", ".")}.json`;
  const golden = await read("testdata", "golden", file);
  await check(row.request, file, "request", golden.request);
  if (golden.or) await check(row.request, file, "or", golden.or);
  await check(row.ack, file, "ack", golden.ack);
}
for (const row of catalogue.events) {
  const file = `event.${row.event.replaceAll(":", ".")}.json`;
  await check(row.payload, file, "payload", (await read("testdata", "golden", file)).payload);
}
for (const [code, failure] of Object.entries(await read("testdata", "golden", "failure.json"))) {
  await check("Failure", "failure.json", code, failure);
}
for (const p of problems) console.error(p);
if (problems.length > 0) process.exit(1);
console.log(`${checked} payloads fit their schemas`);
