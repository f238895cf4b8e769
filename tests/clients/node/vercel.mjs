// The AI SDK of Vercel on its OpenAI provider: text, streams and tools, on chat and on responses.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";

const provider = ({ url, headers }) =>
  createOpenAI({ baseURL: `${url}/v1`, apiKey: "k", headers });
const request = (asked, model) => ({
  model,
  prompt: asked.text,
  maxRetries: 0,
  timeout: 20_000,
});
const chat = (asked) => request(asked, provider(asked).chat("gpt-4o"));
const responses = (asked) => request(asked, provider(asked).responses("gpt-4o"));

// A tool that notes what it is called with; the model says what it said before of its result.
const calling = ({ tool: name, schema }, noted) => ({
  tools: {
    [name]: tool({
      inputSchema: jsonSchema(schema),
      execute: async (input) => {
        noted.push(input);
        return "sent";
      },
    }),
  },
  stopWhen: isStepCount(2),
});
const whole = async (options) => (await generateText(options)).text;
const streamed = async (options) => {
  let said = "";
  const failures = [];
  const answer = streamText({ ...options, onError: ({ error }) => failures.push(error) });
  for await (const delta of answer.textStream) said += delta;
  if (failures.length) throw failures[0];
  return said;
};
const called = async (asked, options, run) => {
  const noted = [];
  const said = await run({ ...options, ...calling(asked, noted) });
  return [noted, said];
};

export default {
  chat: (asked) => whole(chat(asked)),
  chat_streamed: (asked) => streamed(chat(asked)),
  chat_tool: (asked) => called(asked, chat(asked), whole),
  chat_tool_streamed: (asked) => called(asked, chat(asked), streamed),
  responses: (asked) => whole(responses(asked)),
  responses_streamed: (asked) => streamed(responses(asked)),
  responses_tool: (asked) => called(asked, responses(asked), whole),
  responses_tool_streamed: (asked) => called(asked, responses(asked), streamed),
};
