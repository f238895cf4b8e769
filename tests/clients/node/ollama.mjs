// The Ollama SDK: chat, whole and as lines of JSON.

import { Ollama } from "ollama";

const model = "llama3";
const client = ({ url, headers }) => new Ollama({ host: url, headers });
const request = ({ text, tool, schema }, tools) => ({
  model,
  messages: [{ role: "user", content: text }],
  ...(tools ? { tools: [{ type: "function", function: { name: tool, parameters: schema } }] } : {}),
});

export default {
  async chat(asked) {
    return (await client(asked).chat(request(asked))).message.content;
  },

  async chat_streamed(asked) {
    let said = "";
    for await (const part of await client(asked).chat({ ...request(asked), stream: true })) {
      said += part.message.content ?? "";
    }
    return said;
  },

  async tool(asked) {
    const answer = await client(asked).chat(request(asked, true));
    return answer.message.tool_calls.map((call) => call.function.arguments);
  },

  async tool_streamed(asked) {
    const calls = [];
    for await (const part of await client(asked).chat({ ...request(asked, true), stream: true })) {
      calls.push(...(part.message.tool_calls ?? []));
    }
    return calls.map((call) => call.function.arguments);
  },
};
