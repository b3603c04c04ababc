/** The journey, by openapi-generator's typescript-fetch. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { AuthApi } from "./generated/apis/AuthApi.js";
import { TasksApi } from "./generated/apis/TasksApi.js";
import { AccountConflictProblemFromJSON } from "./generated/models/AccountConflictProblem.js";
import { PreconditionFailedProblemFromJSON } from "./generated/models/PreconditionFailedProblem.js";
import type { Task } from "./generated/models/Task.js";
import { UnauthorizedProblemFromJSON } from "./generated/models/UnauthorizedProblem.js";
import { Configuration, ResponseError } from "./generated/runtime.js";

let token = "";
const configuration = new Configuration({ basePath: process.env["DOCKET"] ?? "", accessToken: () => token });
const auth = new AuthApi(configuration);
const api = new TasksApi(configuration);

/** What a refusal says, which comes as an exception. */
async function refused<Problem>(answer: Promise<unknown>, read: (json: unknown) => Problem): Promise<Problem> {
  const error: unknown = await answer.then(() => null, (thrown: unknown) => thrown);
  assert(error instanceof ResponseError);
  return read(await error.response.json());
}

async function tasks(): Promise<Task[]> {
  const found: Task[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.listTasks({ limit: 2, ...(cursor !== undefined && { cursor }) });
    found.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

const person = { email: `${randomUUID()}@example.com`, password: "nine lives of a lighthouse" };
const registered = await auth.registerUser({ userRegister: person });
assert(registered);
assert.equal(registered.email, person.email);
const again = await refused(auth.registerUser({ userRegister: person }), AccountConflictProblemFromJSON);
assert.equal(again.code, "email_already_registered");

const session = await auth.login({ loginRequest: person });
assert(session.refreshToken);
token = session.accessToken;

const dueDate = new Date("2030-01-31T09:30:00.123Z");
const dueOn = new Date("2030-01-31");
for (const title of ["One", "Two", "Three"]) {
  const made = await api.createTask({ taskCreate: { title, description: "Soon", priority: "high", dueDate } });
  assert.deepEqual(made.dueDate, dueDate);
}
const [three, ...rest] = await tasks();
assert(three);
assert.deepEqual([three, ...rest].map((task) => task.title), ["Three", "Two", "One"]);

const patched = await api.updateTaskRaw({ taskId: three.id, taskPatch: { description: null } });
const task = await patched.value();
assert.deepEqual([task.description, task.title], [null, "Three"]);

const moved = await api.updateTaskRaw({ taskId: three.id, taskPatch: { dueDate: null, dueOn } });
assert.deepEqual((await moved.value()).dueOn, dueOn);
const ifMatch = moved.raw.headers.get("ETag") ?? "";
const change = (title: string) => api.updateTask({ taskId: three.id, ifMatch, taskPatch: { title } });
const first = await change("First");
assert.equal(first.title, "First");
const second = await refused(change("Second"), PreconditionFailedProblemFromJSON);
assert.equal(second.code, "precondition_failed");

const next = await auth.refreshTokens({ refreshRequest: { refreshToken: session.refreshToken } });
assert(next);
token = next.accessToken;
await auth.logout();
const gone = await refused(auth.getCurrentUser(), UnauthorizedProblemFromJSON);
assert.equal(gone.code, "token_revoked");
console.log("The journey ended well.");
