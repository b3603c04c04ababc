/** The journey, by @hey-api/openapi-ts. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { client } from "./generated/client.gen.js";
import {
  createTask,
  getCurrentUser,
  listTasks,
  login,
  logout,
  refreshTokens,
  registerUser,
  updateTask,
  type Problem,
  type Task,
} from "./generated/index.js";

let token = "";
client.setConfig({
  baseUrl: process.env["DOCKET"] ?? "",
  auth: ({ scheme }) => (scheme === "bearer" ? token : undefined), // it is asked for the cookie too, which is the browser's
});

/** What is told of a problem: its code is for programs. */
function told(problem: Problem | undefined): string {
  switch (problem?.code) {
    case "email_already_registered":
      return "somebody has this address";
    case "precondition_failed":
      return "somebody was faster";
    case "token_revoked":
      return "signed out";
    default:
      return "something else";
  }
}

async function tasks(): Promise<Task[]> {
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
    const { data } = await listTasks({ query, throwOnError: true });
    found.push(...data.items);
    cursor = data.next_cursor;
  } while (cursor !== null);
  return found;
}

const person = { email: `${randomUUID()}@example.com`, password: "nine lives of a lighthouse" };
const registered = await registerUser({ body: person });
// It is empty where the address is mailed a link first.
assert(typeof registered.data === "object" && registered.data !== null && "email" in registered.data);
assert.equal(registered.data.email, person.email);
const again = await registerUser({ body: person });
assert.equal(again.response?.status, 409);
assert.equal(told(again.error), "somebody has this address");

const session = await login({ body: person });
assert(session.data?.refresh_token);
token = session.data.access_token;

for (const title of ["One", "Two", "Three"]) {
  const made = await createTask({ body: { title, description: "Soon", priority: "high" } });
  assert.equal(made.response?.status, 201);
}
const [three, ...rest] = await tasks();
assert(three);
assert.deepEqual([three, ...rest].map((task) => task.title), ["Three", "Two", "One"]);

const path = { task_id: three.id };
const patched = await updateTask({ path, body: { description: null } });
assert.deepEqual([patched.data?.description, patched.data?.title], [null, "Three"]);

const headers = { "If-Match": patched.response?.headers.get("ETag") ?? "" };
const first = await updateTask({ path, headers, body: { title: "First" } });
assert.equal(first.data?.title, "First");
const second = await updateTask({ path, headers, body: { title: "Second" } });
assert.equal(second.response?.status, 412);
assert.equal(told(second.error), "somebody was faster");

const next = await refreshTokens({ body: { refresh_token: session.data.refresh_token } });
assert(next.data);
token = next.data.access_token;
const left = await logout();
assert.equal(left.response?.status, 204);
const gone = await getCurrentUser();
assert.equal(gone.response?.status, 401);
assert.equal(told(gone.error), "signed out");
console.log("The journey ended well.");
