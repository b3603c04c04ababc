// What is said to people: by code, for the codes are part of the API and its texts are not.
import { Failure } from "./api";

const MESSAGES: Record<string, string> = {
  invalid_credentials: "No account has this e-mail and this password.",
  invalid_code: "This is not the code of this moment. Each works once.",
  invalid_challenge: "That took too long. Type your password again.",
  email_already_registered: "There is an account with this e-mail already. Sign in instead.",
  password_too_weak: "This password is too easy to guess. Make it longer.",
  password_too_common: "This password is among the first that anyone would try.",
  permission_denied: "Your role in this team does not allow that.",
  not_found: "It is gone: somebody has deleted it.",
  quota_exceeded: "There are as many of these as there may be. Delete some first.",
  precondition_failed: "Somebody else has changed it meanwhile.",
  service_unavailable: "The server is busy. Try again in a moment.",
  unreachable: "The server does not answer.",
};

export function message(cause: unknown): string {
  if (!(cause instanceof Failure)) return "Something went wrong in this page.";
  if (cause.code === "validation_error") return Object.values(cause.fields).join(" ") || cause.message;
  if (cause.code === "rate_limit_exceeded" || cause.code === "account_locked")
    return `Too often. Try again in ${cause.retryAfter ?? 60} s.`;
  return MESSAGES[cause.code] ?? cause.message;
}
