// The form to sign in, and to make an account.
import { useMutation } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { api, said, signIn, type User } from "./api";
import { message } from "./problems";

export function SignIn({ why, onSignedIn }: { why: string | null; onSignedIn: (user: User | null) => void }) {
  const [isNew, setNew] = useState(false);
  const entry = useMutation({
    mutationFn: async (account: { email: string; password: string }) => {
      if (isNew) {
        const { response } = await said(api.POST("/api/v1/auth/register", { body: account }));
        if (response.status === 202) return undefined; // the account begins when a mailed link is followed
      }
      return signIn(account.email, account.password);
    },
    onSuccess: (user) => (user === undefined ? setNew(false) : onSignedIn(user)),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    entry.mutate({ email: String(form.get("email")), password: String(form.get("password")) });
  };
  return (
    <main className="entry">
      <h1>To do</h1>
      {why && <p role="status">{why}</p>}
      <form onSubmit={submit}>
        <label>
          E-mail <input name="email" type="email" autoComplete="username" required autoFocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete={isNew ? "new-password" : "current-password"} required />
        </label>
        {entry.isSuccess && <p role="status">A mail is on its way: follow its link, then sign in.</p>}
        {entry.error && <p role="alert">{message(entry.error)}</p>}
        <button disabled={entry.isPending}>{isNew ? "Create the account" : "Sign in"}</button>
        <button type="button" className="quiet" onClick={() => setNew(!isNew)}>
          {isNew ? "I have an account" : "I am new here"}
        </button>
      </form>
    </main>
  );
}
