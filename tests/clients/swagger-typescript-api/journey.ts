/** The journey, by swagger-typescript-api. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Api, type Task } from "./generated/docket.js";

const docket = new Api<string>({
  baseUrl: process.env["DOCKET"] ?? "",
  securityWorker: (token) => (token === null ? {} : { headers: { Authorization: `Bearer ${token}` } }),
});
const { api } = docket;

/** What a refusal says, which is thrown as an answer with `error`. */
async function refused(answer: Promise<unknown>): Promise<string> {
  const thrown: unknown = await answer.then(() => null, (error: unknown) => error);
  assert(thrown instanceof Response && "error" in thrown);
  const { code } = thrown.error as { code: string };
  return code;
}

async function tasks(): Promise<Task[]> {
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
    const { data } = await api.listTasks(query);
    found.push(...data.items);
    cursor = data.next_cursor;
  } while (cursor !== null);
  return found;
}

const person = { email: `${randomUUID()}@example.com`, password: "nine lives of a lighthouse" };
const registered = await api.registerUser(person);
assert.equal(registered.data.email, person.email);
assert.equal(await refused(api.registerUser(person)), "email_already_registered");

const session = await api.login(person);
assert(session.data.refresh_token);
docket.setSecurityData(session.data.access_token);

for (const title of ["One", "Two", "Three"]) {
  const made = await api.createTask({ title, description: "Soon", priority: "high" });
  assert.equal(made.status, 201);
}
const [three, ...rest] = await tasks();
assert(three);
assert.deepEqual([three, ...rest].map((task) => task.title), ["Three", "Two", "One"]);

const patched = await api.updateTask(three.id, { description: null });
assert.deepEqual([patched.data.description, patched.data.title], [null, "Three"]);

const headers = { "If-Match": patched.headers.get("ETag") ?? "" };
const first = await api.updateTask(three.id, { title: "First" }, { headers });
assert.equal(first.data.title, "First");
assert.equal(await refused(api.updateTask(three.id, { title: "Second" }, { headers })), "precondition_failed");

const next = await api.refreshTokens({ refresh_token: session.data.refresh_token });
docket.setSecurityData(next.data.access_token);
const left = await api.logout();
assert.equal(left.status, 204);
assert.equal(await refused(api.getCurrentUser()), "token_revoked");
console.log("The journey ended well.");
