// The page: tasks where there is a session, else the form to sign in.
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { Failure, resume, whenOver } from "./api";
import { message } from "./problems";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";

const again = (count: number, cause: unknown) =>
  count < 1 && cause instanceof Failure && ["unreachable", "service_unavailable"].includes(cause.code);
const client = new QueryClient({ defaultOptions: { queries: { retry: again, staleTime: 10_000 } } });

function Page() {
  const session = useQuery({ queryKey: ["session"], queryFn: resume, staleTime: Infinity });
  const leave = (why: string | null) => {
    client.setQueryData(["why"], why);
    client.setQueryData(["session"], null);
    client.removeQueries({ predicate: ({ queryKey: [kind] }) => kind === "tasks" || kind === "teams" });
  };
  useEffect(() => whenOver(() => leave("Your session is over. Sign in again.")));
  if (session.isPending) return <p role="status">One moment…</p>;
  if (session.error)
    return (
      <p role="alert">
        {message(session.error)} <button onClick={() => session.refetch()}>Try again</button>
      </p>
    );
  if (session.data) return <Tasks user={session.data} onLeave={() => leave(null)} />;
  return (
    <SignIn
      why={client.getQueryData<string>(["why"]) ?? null}
      onSignedIn={(user) => client.setQueryData(["session"], user)}
    />
  );
}

const root = document.getElementById("app");
if (!root) throw new Error("there is no place for the page");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <Page />
    </QueryClientProvider>
  </StrictMode>,
);
