// Ask a server with @grpc/grpc-js; the third argument is the services' descriptors.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const descriptors = fs.readFileSync(process.argv[4]);
const options = { longs: String, enums: String, keepCase: true };
const services = grpc.loadPackageDefinition(
  loader.loadFileDescriptorSetFromBuffer(descriptors, options),
);
const open = (Service) => new Service(process.argv[3], grpc.credentials.createInsecure());
const predictions = open(services.tensorflow.serving.PredictionService);
const models = open(services.tensorflow.serving.ModelService);
const health = open(services.grpc.health.v1.Health);
const call = (client, method, message) =>
  new Promise((resolve, reject) =>
    client[method](message, { deadline: Date.now() + 20000 }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    ),
  );
const vector = (numbers) => ({
  dtype: "DT_FLOAT",
  tensor_shape: { dim: [{ size: numbers.length }] },
  float_val: numbers,
});
// Read from descriptors, a map is a list of its entries, as it is on the wire.
const predict = (model_spec, inputs) =>
  call(predictions, "Predict", {
    model_spec,
    inputs: Object.entries(inputs).map(([key, value]) => ({ key, value })),
  });
const values = (answer, name) => answer.outputs.find(({ key }) => key === name).value.float_val;

async function main() {
  assert.equal((await call(health, "Check", {})).status, "SERVING");
  const x = vector([1, 2, 5]);
  let answer = await predict({ name: "half_plus_two" }, { x });
  assert.deepEqual(values(answer, "y"), [3.5, 4, 5.5]);
  assert.equal(answer.model_spec.version.value, "2");
  answer = await predict({ name: "half_plus_two", version: { value: 1 } }, { x });
  assert.deepEqual(values(answer, "y"), [2.5, 3, 4.5]);
  answer = await predict({ name: "half_plus_two", version_label: "stable" }, { x });
  assert.deepEqual(values(answer, "y"), [2.5, 3, 4.5]);
  answer = await predict({ name: "kinds", signature_name: "optional" }, { x });
  assert.deepEqual(values(answer, "y"), [3, 6, 15]);
  answer = await call(models, "GetModelStatus", { model_spec: { name: "half_plus_two" } });
  assert.deepEqual(
    answer.model_version_status.map((one) => [one.version, one.state]),
    [["2", "AVAILABLE"], ["1", "AVAILABLE"]],
  );
  answer = await call(predictions, "GetModelMetadata", {
    model_spec: { name: "half_plus_two" },
    metadata_field: ["signature_def"],
  });
  assert.equal(answer.metadata[0].key, "signature_def");
  const failed = (code) => (error) => error.code === code;
  await assert.rejects(predict({ name: "nobody" }, { x }), failed(grpc.status.NOT_FOUND));
  await assert.rejects(
    predict({ name: "half_plus_two" }, { z: x }),
    failed(grpc.status.INVALID_ARGUMENT),
  );
  [predictions, models, health].forEach((client) => client.close());
}

main();
