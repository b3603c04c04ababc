/** The journey, by orval: fetch, what React Query asks with, and zod. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { QueryClient } from "@tanstack/react-query";
import { signIn } from "./docket";
import { createTask, getCurrentUser, login, logout, refreshTokens, registerUser, updateTask, type Task } from "./generated/fetch";
import { getListTasksQueryOptions } from "./generated/query";
import { listTasksResponse } from "./generated/zod";

async function tasks(): Promise<Task[]> {
  const queries = new QueryClient();
  const found: Task[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = cursor === null ? { limit: 2 } : { limit: 2, cursor };
    const { data } = await queries.fetchQuery(getListTasksQueryOptions(query));
    const page = listTasksResponse.parse(data);
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

async function main(): Promise<void> {
  const person = { email: `${randomUUID()}@example.com`, password: "nine lives of a lighthouse" };
  const registered = await registerUser(person);
  assert(registered.status === 201);
  assert.equal(registered.data.email, person.email);
  const again = await registerUser(person);
  assert(again.status === 409);
  assert.equal(again.data.code, "email_already_registered");

  const session = await login(person);
  assert(session.status === 200 && session.data.refresh_token);
  signIn(session.data.access_token);

  for (const title of ["One", "Two", "Three"]) {
    const made = await createTask({ title, description: "Soon", priority: "high" });
    assert.equal(made.status, 201);
  }
  const [three, ...rest] = await tasks();
  assert(three);
  assert.deepEqual([three, ...rest].map((task) => task.title), ["Three", "Two", "One"]);

  const patched = await updateTask(three.id, { description: null });
  assert(patched.status === 200);
  assert.deepEqual([patched.data.description, patched.data.title], [null, "Three"]);

  const headers = { "If-Match": patched.headers.get("ETag") ?? "" };
  const first = await updateTask(three.id, { title: "First" }, headers);
  assert(first.status === 200);
  assert.equal(first.data.title, "First");
  const second = await updateTask(three.id, { title: "Second" }, headers);
  assert(second.status === 412);
  assert.equal(second.data.code, "precondition_failed");

  const next = await refreshTokens({ refresh_token: session.data.refresh_token });
  assert(next.status === 200);
  signIn(next.data.access_token);
  const left = await logout();
  assert.equal(left.status, 204);
  const gone = await getCurrentUser();
  assert(gone.status === 401);
  assert.equal(gone.data.code, "token_revoked");
  console.log("The journey ended well.");
}

void main();
