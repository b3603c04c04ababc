import { defineConfig } from "orval";

const input = "openapi.yaml";
const shared = { headers: true, override: { mutator: { path: "docket.ts", name: "docket" } } };
export default defineConfig({
  fetch: { input, output: { target: "generated/fetch.ts", client: "fetch", ...shared } },
  query: { input, output: { target: "generated/query.ts", client: "react-query", httpClient: "fetch", ...shared } },
  zod: { input, output: { target: "generated/zod.ts", client: "zod" } },
});
