// The form to sign in, with a code where the account has a second factor, and to make an account.
import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api, completeSignIn, Failure, said, signIn, type User } from "./api";
import { message } from "./problems";

export function SignIn({ why, onSignedIn }: { why: string | null; onSignedIn: (user: User | null) => void }) {
  const [isNew, setNew] = useState(false);
  const [challenge, setChallenge] = useState<string | null>(null);
  const entry = useMutation({
    mutationFn: async ({ code, ...account }: { email: string; password: string; code: string }) => {
      if (challenge) return completeSignIn(challenge, code);
      if (isNew) {
        const { response } = await said(api.POST("/api/v1/auth/register", { body: account }));
        if (response.status === 202) return undefined; // the account begins when a mailed link is followed
      }
      return signIn(account.email, account.password);
    },
    onError: ({ code, challenge }: Failure) => {
      if (code === "mfa_required" || code === "invalid_challenge") setChallenge(challenge);
    },
    onSuccess: (user) => (user === undefined ? setNew(false) : onSignedIn(user)),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const typed = (name: string) => String(form.get(name) ?? "");
    entry.mutate({ email: typed("email"), password: typed("password"), code: typed("code") });
  };
  return (
    <main className="entry">
      <h1>To do</h1>
      {why && <p role="status">{why}</p>}
      <form onSubmit={submit}>
        {challenge ? (
          <label>
            Code of your app, or one to recover by
            <input name="code" autoComplete="one-time-code" required autoFocus />
          </label>
        ) : (
          <>
            <label>
              E-mail <input name="email" type="email" autoComplete="username" required autoFocus />
            </label>
            <label>
              Password
              <input name="password" type="password" autoComplete={isNew ? "new-password" : "current-password"} required />
            </label>
          </>
        )}
        {entry.isSuccess && <p role="status">A mail is on its way: follow its link, then sign in.</p>}
        {entry.error && entry.error.code !== "mfa_required" && <p role="alert">{message(entry.error)}</p>}
        <button disabled={entry.isPending}>{isNew ? "Create the account" : "Sign in"}</button>
        {!challenge && (
          <button type="button" className="quiet" onClick={() => setNew(!isNew)}>
            {isNew ? "I have an account" : "I am new here"}
          </button>
        )}
      </form>
    </main>
  );
}
