// Clients of Node: the AWS SDK for JavaScript v3 (HTTP/2 by default), openai, Vercel's ai.
import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand, InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import assert from "node:assert";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const URL_ = process.argv[2];
const HOW = process.argv[3] ?? "";  // how the emulator is reached, part of the client's name: then the SDKs alone
const NOVA = "us.amazon.nova-pro-v1:0";
const CLAUDE = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
const CUSTOM = "custom-8b";
const PARIS = "What is the weather in Paris?";
const TRIP = "Plan a trip: 12 nights in Rome, please";
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const Trip = z.object({ city: z.string(), nights: z.number().int() });
const keys = { accessKeyId: "test", secretAccessKey: "test" };

const aws = new BedrockRuntimeClient({ endpoint: URL_, region: "us-east-1", credentials: keys });
const hello = [{ role: "user", content: [{ text: "hello" }] }];
const paris = [{ role: "user", content: [{ text: PARIS }] }];
const own = JSON.stringify({ anthropic_version: "bedrock-2023-05-31", max_tokens: 50, messages: [{ role: "user", content: "hello" }] });
const read = (bytes) => JSON.parse(new TextDecoder().decode(bytes));
const all = async (stream) => { const found = []; for await (const item of stream) found.push(item); return found; };

const openai = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];

const ai = (name, model) => ({
  [`${name}|answer`]: async () => assert((await generateText({ model, prompt: "hello" })).text),
  [`${name}|stream`]: async () => {
    const result = streamText({ model, prompt: "hello", onError: ({ error }) => { throw error; } });
    assert((await all(result.textStream)).length > 5);
    assert((await result.usage).outputTokens > 0);
  },
  [`${name}|tools`]: async () => {
    const called = [];
    const weather = tool({ description: "The weather of a city", inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => { called.push(city); return `21 degrees in ${city}`; } });
    const result = await generateText({ model, prompt: PARIS, tools: { getWeather: weather }, stopWhen: stepCountIs(3) });
    assert.deepEqual(called, ["Paris"]);
    assert(result.text.includes("21 degrees"));
  },
  [`${name}|structured`]: async () => assert.equal((await generateObject({ model, schema: Trip, prompt: TRIP })).object.nights, 12),
});
const bedrock = createAmazonBedrock({ baseURL: URL_, region: "us-east-1", ...keys });
const vercel = createOpenAI({ baseURL: `${URL_}/v1`, apiKey: "none" });

const checks = {
  "AWS SDK for JavaScript v3|answer": async () => assert((await aws.send(new ConverseCommand({ modelId: NOVA, messages: hello }))).output.message.content[0].text),
  "AWS SDK for JavaScript v3|stream": async () => {
    const events = await all((await aws.send(new ConverseStreamCommand({ modelId: CLAUDE, messages: hello }))).stream);
    assert(events.at(-1).metadata.usage.outputTokens > 0);
  },
  "AWS SDK for JavaScript v3|tools": async () => {
    const toolConfig = { tools: [{ toolSpec: { name: "get_weather", inputSchema: { json: CITY } } }] };
    const made = await aws.send(new ConverseCommand({ modelId: NOVA, messages: paris, toolConfig }));
    assert.deepEqual(made.output.message.content[0].toolUse.input, { city: "Paris" });
  },
  "AWS SDK for JavaScript v3|structured": async () => {
    const outputConfig = { textFormat: { type: "json_schema", structure: { jsonSchema: { schema: JSON.stringify(CITY) } } } };
    const made = await aws.send(new ConverseCommand({ modelId: CLAUDE, messages: paris, outputConfig }));
    assert.equal(JSON.parse(made.output.message.content[0].text).city, "Paris");
  },
  "AWS SDK for JavaScript v3|tokens": async () => assert((await aws.send(new CountTokensCommand({ modelId: "amazon.nova-pro-v1:0", input: { converse: { messages: hello } } }))).inputTokens > 0),
  "AWS SDK for JavaScript v3 InvokeModel|answer": async () => assert(read((await aws.send(new InvokeModelCommand({ modelId: CLAUDE, body: own, contentType: "application/json" }))).body).content[0].text),
  "AWS SDK for JavaScript v3 InvokeModel|stream": async () => {
    const made = await aws.send(new InvokeModelWithResponseStreamCommand({ modelId: CLAUDE, body: own, contentType: "application/json" }));
    assert.equal(read((await all(made.body)).at(-1).chunk.bytes).type, "message_stop");
  },
  "openai (npm) chat|answer": async () => assert((await openai.chat.completions.create({ model: CUSTOM, messages })).choices[0].message.content),
  "openai (npm) chat|stream": async () => assert((await all(await openai.chat.completions.create({ model: CUSTOM, messages, stream: true }))).length > 5),
  "openai (npm) chat|tools": async () => {
    const tools = [{ type: "function", function: { name: "get_weather", parameters: CITY } }];
    const made = await openai.chat.completions.create({ model: CUSTOM, messages: [{ role: "user", content: PARIS }], tools });
    assert.deepEqual(JSON.parse(made.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });
  },
  "openai (npm) chat|structured": async () => {
    const made = await openai.chat.completions.parse({ model: CUSTOM, messages: [{ role: "user", content: TRIP }], response_format: zodResponseFormat(Trip, "trip") });
    assert.equal(made.choices[0].message.parsed.nights, 12);
  },
  "openai (npm) responses|answer": async () => assert((await openai.responses.create({ model: CUSTOM, input: "hello" })).output_text),
  "openai (npm) responses|stream": async () => assert((await all(await openai.responses.create({ model: CUSTOM, input: "hello", stream: true }))).at(-1).type === "response.completed"),
  "openai (npm) responses|tools": async () => {
    const tools = [{ type: "function", name: "get_weather", parameters: CITY, strict: true }];
    assert.deepEqual(JSON.parse((await openai.responses.create({ model: CUSTOM, input: PARIS, tools })).output[0].arguments), { city: "Paris" });
  },
  "openai (npm) responses|structured": async () => assert.equal((await openai.responses.parse({ model: CUSTOM, input: TRIP, text: { format: zodTextFormat(Trip, "trip") } })).output_parsed.nights, 12),
  ...ai("Vercel ai Bedrock", bedrock(NOVA)),
  ...ai("Vercel ai Bedrock (Claude)", bedrock(CLAUDE)),
  ...ai("Vercel ai OpenAI chat", vercel.chat(CUSTOM)),
  ...ai("Vercel ai OpenAI responses", vercel(CUSTOM)),
};
for (const [key, check] of Object.entries(checks).filter(([key]) => !HOW || !key.startsWith("Vercel"))) {
  const [client, what] = key.split("|");
  let reason = null;
  try { await check(); } catch (error) { reason = `${error.name}: ${error.message}`.replace(/\s+/g, " ").slice(0, 160); }
  console.log(JSON.stringify({ client: client + HOW, what, reason }));
}
aws.destroy();
