// A chat route of Vercel's ai, as its documentation has it, on the emulator's model: `ai_sdk_server.mjs PORT EMULATOR`.
import { createOpenAI } from "@ai-sdk/openai";
import { convertToModelMessages, streamText } from "ai";
import http from "node:http";

const model = createOpenAI({ baseURL: `${process.argv[3]}/v1`, apiKey: "none" }).chat("custom-8b");
http.createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const messages = await convertToModelMessages(JSON.parse(body).messages);
  streamText({ model, messages }).pipeUIMessageStreamToResponse(response);
}).listen(+process.argv[2], "127.0.0.1");
