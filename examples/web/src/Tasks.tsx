// The tasks of one organization: filters, search, a list without end, and a line to add to it.
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useDeferredValue, useEffect, useRef, useState, type FormEvent } from "react";
import { api, said, signOut, type User } from "./api";
import { message } from "./problems";
import { TaskRow } from "./TaskRow";

const LIMIT = 30;
const SHOWN = { open: "Open", completed: "Done", all: "All" } as const;
export type Shown = keyof typeof SHOWN;

export function Tasks({ user, onLeave }: { user: User; onLeave: () => void }) {
  const [teamId, setTeamId] = useState<string | null>(null);
  const [shown, setShown] = useState<Shown>("open");
  const [text, setText] = useState("");
  const words = useDeferredValue(text.trim());
  const client = useQueryClient();
  const teams = useQuery({
    queryKey: ["teams"],
    queryFn: async () => (await said(api.GET("/api/v1/organizations", { params: { query: { limit: 200 } } }))).data.items,
  });
  const place = teamId ?? user.id; // the id of a personal organization is that of its user: no need to ask for it first
  const team = teams.data?.find((one) => one.id === place);
  const key = ["tasks", place, shown, words];
  const list = useInfiniteQuery({
    queryKey: key,
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const query = {
        limit: LIMIT,
        organization_id: place,
        ...(shown !== "all" && { completed: shown === "completed" }),
        ...(pageParam && { cursor: pageParam }),
      };
      if (words) return (await said(api.GET("/api/v1/tasks/search", { params: { query: { ...query, q: words } }, signal }))).data;
      return (await said(api.GET("/api/v1/tasks", { params: { query }, signal }))).data;
    },
    getNextPageParam: (page) => page.next_cursor,
  });
  const addition = useMutation({
    mutationFn: ({ title, key }: { title: string; key: string }) => {
      const body = { title, organization_id: place };
      return said(api.POST("/api/v1/tasks", { body, params: { header: { "Idempotency-Key": key } } }));
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ["tasks", place] }),
  });
  const departure = useMutation({ mutationFn: signOut, onSuccess: onLeave });
  const add = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const title = String(new FormData(form).get("title")).trim();
    addition.mutate({ title, key: crypto.randomUUID() }, { onSuccess: () => form.reset() });
  };
  const tasks = list.data?.pages.flatMap((page) => page.items) ?? [];
  const failure = list.error ?? teams.error ?? departure.error;

  return (
    <>
      <header>
        <label>
          <span className="unseen">Team</span>
          <select value={place} onChange={(event) => setTeamId(event.target.value)}>
            {teams.data?.map((one) => (
              <option key={one.id} value={one.id}>
                {one.kind === "personal" ? "My own" : `${one.name} (${one.my_role ?? "superuser"})`}
              </option>
            ))}
          </select>
        </label>
        <span className="who">{user.full_name ?? user.email}</span>
        <button className="quiet" onClick={() => departure.mutate()}>Sign out</button>
      </header>
      <main>
        <h1 className="unseen">Tasks</h1>
        <form className="add" onSubmit={add}>
          <input name="title" aria-label="New task" placeholder="What is to be done?" maxLength={200} required />
          <button disabled={addition.isPending}>Add</button>
        </form>
        {addition.error && (
          <p role="alert">
            {message(addition.error)}{" "}
            <button onClick={() => addition.variables && addition.mutate(addition.variables)}>Try again</button>
          </p>
        )}
        <div className="filters">
          <div role="group" aria-label="Show">
            {(Object.keys(SHOWN) as Shown[]).map((one) => (
              <button key={one} aria-pressed={shown === one} onClick={() => setShown(one)}>{SHOWN[one]}</button>
            ))}
          </div>
          <input type="search" aria-label="Search" placeholder="Search" value={text} onChange={(event) => setText(event.target.value)} />
        </div>
        {failure && (
          <p role="alert">
            {message(failure)} <button onClick={() => (teams.error ? teams : list).refetch()}>Try again</button>
          </p>
        )}
        <ul aria-label="Tasks" aria-busy={list.isFetching}>
          {tasks.map((task) => (
            <TaskRow key={task.id} task={task} listKey={key} isShared={place !== user.id} canWrite={Boolean(team?.my_role)} />
          ))}
        </ul>
        {list.isSuccess && tasks.length === 0 && <p className="quiet">Nothing here.</p>}
        {list.hasNextPage && <More onSeen={() => !list.isFetchingNextPage && list.fetchNextPage()} />}
      </main>
    </>
  );
}

/** The end of what is there so far: the next page is fetched when it comes into view. */
function More({ onSeen }: { onSeen: () => void }) {
  const end = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(([entry]) => entry?.isIntersecting && onSeen(), { rootMargin: "400px" });
    if (end.current) watch.observe(end.current);
    return () => watch.disconnect();
  });
  return <button ref={end} className="quiet" onClick={onSeen}>More</button>;
}
