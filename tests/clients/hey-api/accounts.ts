/** What people do with their accounts and teams, and what a program follows, by @hey-api/openapi-ts. */
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { client } from "./generated/client.gen.js";
import {
  acceptInvitation,
  completeLogin,
  confirmTotp,
  createAccessToken,
  createOrganization,
  createPasswordReset,
  createRecoveryCodes,
  createTask,
  createTotp,
  getCurrentUser,
  inviteMember,
  listInvitations,
  listMembers,
  listTasks,
  login,
  redeemInvitation,
  registerUser,
  resetPassword,
  resetTotp,
  revokeAccessToken,
  streamChanges,
  type Change,
  type User,
} from "./generated/index.js";

const PASSWORD = "nine lives of a lighthouse";
let token = "";
client.setConfig({
  baseUrl: process.env["DOCKET"] ?? "",
  auth: ({ scheme }) => (scheme === "bearer" ? token : undefined),
});

/** A session of the account: requests are its own from now on. */
async function signIn(email: string, password: string): Promise<void> {
  const { data } = await login({ body: { email, password }, throwOnError: true });
  token = data.access_token;
}

/** A new account, signed in. */
async function join(): Promise<User> {
  const email = `${randomUUID()}@example.com`;
  await registerUser({ body: { email, password: PASSWORD }, throwOnError: true });
  await signIn(email, PASSWORD);
  const { data } = await getCurrentUser({ throwOnError: true });
  return data;
}

/** What an authenticator app shows (RFC 6238). */
function codeOf(secret: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const place = (digest.at(-1) ?? 0) & 15;
  return String((digest.readUInt32BE(place) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

function emailOf(user: User): string {
  assert(user.email);
  return user.email;
}

// Somebody with an account is invited by id and says yes; somebody without one follows a link.
const ada = await join();
const adas = token;
const bob = await join();
token = adas;
const team = await createOrganization({ body: { name: "Journey", slug: randomUUID() }, throwOnError: true });
const here = { organization_id: team.data.id };
await inviteMember({ path: here, body: { user_id: bob.id }, throwOnError: true });
const eves = await inviteMember({ path: here, body: { email: "eve@example.com", role: "admin" }, throwOnError: true });
const link = new URL(eves.data.url ?? "");

await signIn(emailOf(bob), PASSWORD);
const asked = await listInvitations({ throwOnError: true });
assert.deepEqual(asked.data.items.map((item) => item.organization.name), ["Journey"]);
const [invitation] = asked.data.items;
assert(invitation);
await acceptInvitation({ path: { invitation_id: invitation.id }, throwOnError: true });

await join();
const secretOfLink = link.hash.replace("#token=", "");
await redeemInvitation({ body: { token: secretOfLink }, throwOnError: true });
const twice = await redeemInvitation({ body: { token: secretOfLink } });
assert.equal(twice.response?.status, 400);

token = adas;
const members = await listMembers({ path: here, throwOnError: true });
assert.deepEqual(members.data.items.map((member) => member.role).sort(), ["admin", "member", "owner"]);

// A program has a token for what it does, and for nothing else, until that is revoked.
const body = { name: "Journey", scopes: ["tasks:read" as const, "changes:read" as const] };
const made = await createAccessToken({ body, throwOnError: true });
token = made.data.token;
await listTasks({ throwOnError: true });
const forbidden = await createTask({ body: { title: "No" } });
assert.deepEqual([forbidden.response?.status, forbidden.error?.code], [403, "insufficient_scope"]);

// It follows what changes, by the client's own reader of streams.
const leave = new AbortController();
const { stream } = await streamChanges({ signal: leave.signal, sseMaxRetryAttempts: 1 });
const following = (async () => {
  for await (const data of stream) {
    const change = data as unknown as Change; // it has read the JSON, whose schema OpenAPI 3.1 cannot name
    if (change.type === "task.created") return change.data;
  }
  return undefined;
})();
let seen: Awaited<typeof following>;
void following.then((data) => (seen = data));
for (let number = 0; seen === undefined && number < 50; number += 1) {
  await createTask({ auth: adas, body: { title: "Seen by a program" }, throwOnError: true }); // it may listen later than we write
  await wait(500);
}
assert(seen && "title" in seen);
assert.equal(seen.title, "Seen by a program");
leave.abort();

await revokeAccessToken({ auth: adas, path: { access_token_id: made.data.id }, throwOnError: true });
const over = await listTasks();
assert.equal(over.response?.status, 401);

// A second factor: begun, confirmed, asked for, met by a code to recover by, and taken away by a superuser.
token = adas;
const { data: seed } = await createTotp({ throwOnError: true });
await confirmTotp({ body: { code: codeOf(seed.secret) }, throwOnError: true });
const recovery = await createRecoveryCodes({ throwOnError: true });
assert.equal(recovery.data.recovery_codes.length, 10);
const held = await login({ body: { email: emailOf(ada), password: PASSWORD } });
assert.deepEqual([held.response?.status, held.error?.code], [401, "mfa_required"]);
assert(held.error && "challenge" in held.error && held.error.challenge);
const [code] = recovery.data.recovery_codes;
assert(code);
const entered = await completeLogin({ body: { challenge: held.error.challenge, code }, throwOnError: true });
token = entered.data.access_token;
assert.equal((await getCurrentUser({ throwOnError: true })).data.mfa_enabled, true);

// The password is lost, and the app too: a superuser takes the factor away, and makes a link.
await signIn(process.env["SUPERUSER_EMAIL"] ?? "", process.env["SUPERUSER_PASSWORD"] ?? "");
await resetTotp({ path: { user_id: ada.id }, throwOnError: true });
const { data: reset } = await createPasswordReset({ path: { user_id: ada.id }, throwOnError: true });
const password = "ten lives of a lighthouse keeper";
await resetPassword({ body: { token: reset.token, password }, throwOnError: true });
const again = await resetPassword({ body: { token: reset.token, password } });
assert.deepEqual([again.response?.status, again.error?.code], [400, "invalid_link"]);
await signIn(emailOf(ada), password);
assert.equal((await getCurrentUser({ throwOnError: true })).data.mfa_enabled, false);
token = adas;
assert.equal((await getCurrentUser()).response?.status, 401);
console.log("The journey ended well.");
