// Ask a server with Node's own fetch.
import assert from "node:assert/strict";

const url = process.argv[2];

async function predict(path, body) {
  const reply = await fetch(`${url}/v1/models/${path}:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return [reply.status, await reply.json()];
}

assert.deepEqual(await predict("half_plus_two", { instances: [1, 2, 5] }), [
  200,
  { predictions: [3.5, 4, 5.5] },
]);
assert.deepEqual(await predict("half_plus_two/labels/stable", { inputs: [1] }), [
  200,
  { outputs: [2.5] },
]);
assert.deepEqual(await predict("upper", { instances: ["abc", { b64: btoa("d") }] }), [
  200,
  { predictions: ["ABC", "D"] },
]);
const [code, told] = await predict("half_plus_two", "{");
assert.equal(code, 400);
assert.match(told.error, /^JSON Parse error: /);
assert.equal((await predict("nobody", { instances: [1] }))[0], 404);

const status = await (await fetch(`${url}/v1/models/half_plus_two`)).json();
assert.deepEqual(status.model_version_status.map((one) => [one.version, one.state]), [
  ["2", "AVAILABLE"],
  ["1", "AVAILABLE"],
]);
const infer = await fetch(`${url}/v2/models/half_plus_two/infer`, {
  method: "POST",
  body: JSON.stringify({ inputs: [{ name: "x", shape: [2], datatype: "FP32", data: [1, 2] }] }),
});
assert.deepEqual((await infer.json()).outputs[0].data, [3.5, 4]);
// A hundred at once over the connections that fetch keeps.
const many = await Promise.all(
  Array.from({ length: 100 }, (_, x) => predict("half_plus_two", { instances: [x] })),
);
many.forEach(([, { predictions }], x) => assert.deepEqual(predictions, [x / 2 + 3]));
