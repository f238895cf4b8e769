// The OpenAI SDK: chat and responses, whole and streamed.

import OpenAI from "openai";

const model = "gpt-4o";
const client = ({ url, headers }) =>
  new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: "k",
    maxRetries: 0,
    timeout: 20_000,
    defaultHeaders: headers,
  });
const messages = ({ text }) => [{ role: "user", content: text }];
const chatTools = ({ tool, schema }) => [
  { type: "function", function: { name: tool, parameters: schema } },
];
const flatTools = ({ tool, schema }) => [
  { type: "function", name: tool, parameters: schema, strict: false },
];

export default {
  async chat(asked) {
    const answer = await client(asked).chat.completions.create({
      model,
      n: 2,
      messages: messages(asked),
    });
    return answer.choices.map((choice) => choice.message.content);
  },

  async chat_streamed(asked) {
    const stream = await client(asked).chat.completions.create({
      model,
      n: 2,
      messages: messages(asked),
      stream: true,
    });
    const said = ["", ""];
    for await (const chunk of stream) {
      for (const { index, delta } of chunk.choices) said[index] += delta.content ?? "";
    }
    return said;
  },

  async chat_tool(asked) {
    const answer = await client(asked).chat.completions.create({
      model,
      messages: messages(asked),
      tools: chatTools(asked),
    });
    return JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  },

  async chat_tool_streamed(asked) {
    const stream = client(asked).chat.completions.stream({
      model,
      messages: messages(asked),
      tools: chatTools(asked),
    });
    const answer = await stream.finalChatCompletion();
    return JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  },

  async responses(asked) {
    return (await client(asked).responses.create({ model, input: asked.text })).output_text;
  },

  async responses_streamed(asked) {
    const stream = client(asked).responses.stream({ model, input: asked.text });
    let deltas = "";
    stream.on("response.output_text.delta", (event) => {
      deltas += event.delta;
    });
    return [deltas, (await stream.finalResponse()).output_text].map((said) => said || deltas);
  },

  async responses_tool_streamed(asked) {
    const stream = await client(asked).responses.create({
      model,
      input: asked.text,
      tools: flatTools(asked),
      stream: true,
    });
    let deltas = "";
    let done;
    for await (const event of stream) {
      if (event.type === "response.function_call_arguments.delta") deltas += event.delta;
      if (event.type === "response.completed") done = event.response.output[0].arguments;
    }
    return [JSON.parse(deltas), JSON.parse(done)];
  },

  async embeddings(asked) {
    const answer = await client(asked).embeddings.create({
      model: "gpt-embed",
      input: [asked.text, "nothing"],
    });
    return answer.data.map((found) => found.embedding);
  },
};
