"""What to do about each problem: in words, and in the JavaScript of a page that has met it.

In the code `answer` is what `fetch` gave, `problem` its JSON, and `send` repeats the request, with other `headers`
where they are given. `say` and `signIn` are the page's own.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Remedy(NamedTuple):
    """What to do about a problem."""

    words: str
    code: str


FAULTS = """for (const { in: part, pointer, detail } of problem.errors) {
  const field = document.querySelector(`[name="${pointer.slice(1)}"]`); // "/title" is the field `title`
  if (part === "body" && field) field.setCustomValidity(detail);
  else say(`${pointer}: ${detail}`);
}"""
WAIT = """const seconds = Number(answer.headers.get("Retry-After") ?? 1);
await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
answer = await send();"""
REPEAT = """const isSafe = ["GET", "PUT", "DELETE"].includes(method) || "Idempotency-Key" in headers;
if (isSafe) {
  const seconds = Number(answer.headers.get("Retry-After") ?? 1);
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  answer = await send();
} else say("It may have been done. Look before you send it again.");"""
RENEW = """const renewed = await fetch("/api/v1/auth/refresh", { method: "POST", credentials: "include" });
if (renewed.ok) {
  const { access_token } = await renewed.json();
  answer = await send({ Authorization: `Bearer ${access_token}` });
} else signIn();"""
SIGN_IN_AGAIN = """const signed = await fetch("/api/v1/auth/login", {
  method: "POST",
  credentials: "include",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ email, password, token_transport: "cookie" }),
});
const { access_token } = await signed.json();
answer = await send({ Authorization: `Bearer ${access_token}` });"""
SAY = "say(problem.detail);"
PROVE = """await fetch("/api/v1/auth/reauthenticate", {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ password }), // or { code }
});
answer = await send();"""
CODE = """const signed = await fetch("/api/v1/auth/login/totp", {
  method: "POST",
  credentials: "include",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ challenge: problem.challenge, code, token_transport: "cookie" }),
});"""
ENROL = """const begun = await fetch("/api/v1/users/me/totp", { method: "POST", headers });
const { url } = await begun.json(); // show it as a QR code, and ask for what the app says
await fetch("/api/v1/users/me/totp/confirm", {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ code }),
});
answer = await send();"""
TAKEN = """const field = document.querySelector("[name=FIELD]");
field.setCustomValidity(problem.detail);
field.reportValidity();"""
JSON_BODY = """answer = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(value), // not the value itself, and no form
});"""


def taken_remedy(field: str, words: str) -> Remedy:
    return Remedy(words, TAKEN.replace("FIELD", field))


REMEDIES: Mapping[str, Remedy] = {
    "malformed_request": Remedy("Send JSON, whole and in UTF-8, to the address of this server.", JSON_BODY),
    "invalid_header": Remedy(
        "`errors` names the header and what it should be. An entity tag is sent back as it came, with its quotes.",
        'answer = await send({ "If-Match": answer.headers.get("ETag") }); // "3", and not 3',
    ),
    "invalid_cursor": Remedy(
        "Ask for the first page again. Follow a list by its cursor alone, and change nothing else on the way.",
        """const first = new URL(answer.url);
first.searchParams.delete("cursor");
answer = await fetch(first, { headers });""",
    ),
    "feed_expired": Remedy(
        "Take a new cursor, list everything once more, and follow from that cursor.",
        """const fresh = new URL(answer.url);
fresh.searchParams.delete("cursor");
const { next_cursor } = await (await fetch(fresh, { headers })).json(); // list everything, then go on from here""",
    ),
    "authentication_required": Remedy("Sign in, and send the access token with each request.", SIGN_IN_AGAIN),
    "invalid_token": Remedy("Fetch another access token once and repeat the request; if that fails, sign in.", RENEW),
    "token_expired": Remedy("Fetch another access token once and repeat the request.", RENEW),
    "token_revoked": Remedy(
        "Somebody has ended this session, perhaps its user elsewhere. Try to fetch another token once, then sign in.",
        RENEW,
    ),
    "invalid_credentials": Remedy("Say so beside the form, and leave what was typed where it is.", SAY),
    "invalid_refresh_token": Remedy(
        "The session is over. Forget the tokens and show the form to sign in.", "signIn();"
    ),
    "refresh_token_reused": Remedy(
        "Forget the tokens and show the form to sign in. Refresh in one place at a time, to be spared the next time.",
        """let renewing = null; // one refresh for all requests that wait for it
const renew = () =>
  (renewing ??= fetch("/api/v1/auth/refresh", { method: "POST", credentials: "include" }).finally(() => {
    renewing = null;
  }));""",
    ),
    "reauthentication_required": Remedy(
        "Ask for the password again, or for a code, prove it, and repeat the request within 10 minutes.", PROVE
    ),
    "mfa_required": Remedy("Ask for a code of the app, or one to recover by, and send it with the challenge.", CODE),
    "invalid_challenge": Remedy("Show the form to sign in: it takes e-mail and password once more.", "signIn();"),
    "invalid_code": Remedy("Say so beside the form, and wait for the next code: each is accepted once.", SAY),
    "wrong_code": Remedy("Say so beside the form, and wait for the next code: each is accepted once.", SAY),
    "mfa_enrolment_required": Remedy("Have a second factor made, and repeat the request.", ENROL),
    "mfa_enabled": Remedy("Take the second factor away first, and begin another one then.", SAY),
    "mfa_not_enabled": Remedy("Offer to make one: there is none to take away.", SAY),
    "mfa_not_begun": Remedy("Begin a second factor, show it as a QR code, and confirm it by a code of the app.", ENROL),
    "invalid_link": Remedy(
        "Say that the link is used up, and offer another one.",
        """await fetch("/api/v1/auth/password-reset", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ email }),
});
say("If there is such an account, a new link is on its way.");""",
    ),
    "no_email": Remedy("Give the account an e-mail address first.", SAY),
    "wrong_password": Remedy("Ask for the current password again; the session goes on.", SAY),
    "https_required": Remedy(
        "Send it to the same address with `https`. Change what secrets were sent, for they may have been read.",
        'const url = answer.url.replace(/^http:/, "https:");\nanswer = await fetch(url, { headers });',
    ),
    "csrf_failed": Remedy(
        "Serve the page from the origin of the API, or have the operator name its origin in `BACKEND_CORS_ORIGINS`.",
        "say(`The API does not know ${location.origin} as a front end of its own.`);",
    ),
    "permission_denied": Remedy(
        "Say so; another token does not help. Offer only what the role in the organization allows.",
        """const { my_role } = await (await fetch(`/api/v1/organizations/${id}`, { headers })).json();
button.hidden = !["owner", "admin"].includes(my_role);""",
    ),
    "insufficient_scope": Remedy(
        "`WWW-Authenticate` names the scopes that this needs: make an access token that has them. Where it names none,"
        " sign in to do it.",
        """const needed = answer.headers.get("WWW-Authenticate").match(/scope="([^"]*)"/)?.[1];
say(needed ? `This needs an access token for ${needed}.` : "Sign in to do this.");""",
    ),
    "quota_exceeded": Remedy(
        "Say how many there may be. It works again when some are deleted.",
        "say(`There can be ${problem.limit} at most. Delete some first.`);",
    ),
    "account_disabled": Remedy("Say so. A superuser can activate the account again.", SAY),
    "not_found": Remedy(
        "It is gone, or was never for this person: take it off the page.",
        'if (answer.url.includes("/tasks/")) tasks = tasks.filter((task) => !answer.url.endsWith(task.id));',
    ),
    "feature_disabled": Remedy(
        "Leave it out of the page: this server or this caller does not have it.", "button.hidden = true;"
    ),
    "method_not_allowed": Remedy(
        "`Allow` names the methods that the path has.", 'say(`${url} has ${answer.headers.get("Allow")}.`);'
    ),
    "request_timeout": Remedy("The request arrived too slowly. Repeat it, smaller if it was large.", REPEAT),
    "email_already_registered": taken_remedy("email", "Say so at the field, and offer to sign in."),
    "username_taken": taken_remedy("username", "Say so at the field, and ask for another one."),
    "slug_taken": taken_remedy("slug", "Say so at the field, and ask for another one."),
    "last_owner": Remedy(
        "Make another member an owner first.",
        """await fetch(`/api/v1/organizations/${id}/members/${userId}`, {
  method: "PATCH",
  headers: { ...headers, "Content-Type": "application/merge-patch+json" },
  body: JSON.stringify({ role: "owner" }),
});
answer = await send();""",
    ),
    "last_superuser": Remedy(
        "Make another account a superuser first.",
        """await fetch(`/api/v1/users/${userId}`, {
  method: "PATCH",
  headers: { ...headers, "Content-Type": "application/merge-patch+json" },
  body: JSON.stringify({ is_superuser: true }),
});
answer = await send();""",
    ),
    "self_action_forbidden": Remedy(
        "The own account is deleted as what it is: one's own.",
        'answer = await fetch("/api/v1/users/me", { method: "DELETE", headers });',
    ),
    "idempotency_in_progress": Remedy("Send it again, with the same key, when `Retry-After` is over.", WAIT),
    "already_member": Remedy(
        "Change the role of the member who is there.",
        """answer = await fetch(`/api/v1/organizations/${id}/members/${userId}`, {
  method: "PATCH",
  headers: { ...headers, "Content-Type": "application/merge-patch+json" },
  body: JSON.stringify({ role }),
});""",
    ),
    "already_invited": Remedy(
        "Wait for the answer, or revoke the invitation and invite again.",
        """answer = await fetch(`/api/v1/organizations/${id}/invitations/${invitationId}`, {
  method: "DELETE",
  headers,
});""",
    ),
    "personal_organization": Remedy(
        "Make a team for what others shall share.",
        """answer = await fetch("/api/v1/organizations", {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ name: "Difference Engines", slug: "difference-engines" }),
});""",
    ),
    "precondition_failed": Remedy(
        "Somebody has changed it meanwhile. Read it again, show what is different, and repeat the change upon that.",
        """const current = await fetch(url, { headers });
const theirs = await current.json();
if (confirm(`It has become "${theirs.title}". Change it nevertheless?`)) {
  answer = await send({ "If-Match": current.headers.get("ETag") });
}""",
    ),
    "content_too_large": Remedy(
        "Send less at once: a shorter text, fewer items.",
        """const bytes = new TextEncoder().encode(JSON.stringify(value)).length;
if (bytes > 64 * 1024) say(`${bytes} bytes are too many.`);""",
    ),
    "uri_too_long": Remedy(
        "Ask for fewer things at once: filters can be sent in several requests.",
        """const parts = ids.reduce((all, id, i) => (i % 50 ? all.at(-1).push(id) : all.push([id]), all), []);
const answers = await Promise.all(parts.map((part) => fetch(`${url}?${part.map((id) => `id=${id}`).join("&")}`)));""",
    ),
    "unsupported_media_type": Remedy(
        "Send what the operation takes: `Accept-Patch` names it for a `PATCH`, `Accept` for all else.",
        """const type = answer.headers.get("Accept-Patch") ?? answer.headers.get("Accept");
answer = await send({ "Content-Type": type.split(",")[0] });""",
    ),
    "idempotency_key_reused": Remedy(
        "Make a key for each new thing that is done, and keep it for repeating that one alone.",
        'answer = await send({ "Idempotency-Key": crypto.randomUUID() });',
    ),
    "validation_error": Remedy(
        "Show each of `errors` at its field: `pointer` names it, `detail` says what is wrong.", FAULTS
    ),
    "password_too_weak": Remedy("Say so at the field. Several words are easier to remember than signs.", FAULTS),
    "password_too_common": Remedy("Say so at the field. Several words that do not belong together will do.", FAULTS),
    "rate_limit_exceeded": Remedy("Wait for so many seconds as `Retry-After` says, then send it again.", WAIT),
    "account_locked": Remedy(
        "Say when it can be tried again. The right password does not help until then.",
        """const minutes = Math.ceil(Number(answer.headers.get("Retry-After")) / 60);
say(`Try again in ${minutes} min.`);""",
    ),
    "header_fields_too_large": Remedy(
        "Send fewer headers. On a shared host it is mostly the cookies of others.",
        'answer = await fetch(url, { credentials: "omit", headers });',
    ),
    "internal_error": Remedy(
        "Report `request_id`, by which it is found in the log. Repeat only what can be sent twice.",
        f"console.error(problem.request_id);\n{REPEAT}",
    ),
    "service_unavailable": Remedy(
        "Wait for so many seconds as `Retry-After` says. Repeat only what can be sent twice.", REPEAT
    ),
}
