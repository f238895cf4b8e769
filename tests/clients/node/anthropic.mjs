// The Anthropic SDK: messages, whole and streamed.

import Anthropic from "@anthropic-ai/sdk";

const client = ({ url, headers }) =>
  new Anthropic({
    baseURL: url,
    apiKey: "k",
    maxRetries: 0,
    timeout: 20_000,
    defaultHeaders: headers,
  });
const request = ({ text, tool, schema }, tools) => ({
  model: "claude-sonnet-4",
  max_tokens: 2048,
  messages: [{ role: "user", content: text }],
  ...(tools ? { tools: [{ name: tool, input_schema: schema }] } : {}),
});
const shown = (message) =>
  message.content.map((block) => (block.type === "tool_use" ? block.input : block.text));

export default {
  async messages(asked) {
    return shown(await client(asked).messages.create(request(asked)));
  },

  async messages_streamed(asked) {
    const stream = client(asked).messages.stream(request(asked));
    let deltas = "";
    stream.on("text", (delta) => {
      deltas += delta;
    });
    const message = await stream.finalMessage();
    return [deltas, ...shown(message)];
  },

  async tool(asked) {
    return shown(await client(asked).messages.create(request(asked, true)));
  },

  async tool_streamed(asked) {
    return shown(await client(asked).messages.stream(request(asked, true)).finalMessage());
  },
};
