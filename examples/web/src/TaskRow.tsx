// A task: changed at once on the page, then at the server if it is as it was here; a conflict is for the person to decide.
import { useMutation, useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { useState, type KeyboardEvent } from "react";
import { api, Failure, said, type Task } from "./api";
import { message } from "./problems";

type Change = { title?: string; completed?: boolean };
type Page = { items: Task[] };
type Row = { task: Task; listKey: unknown[]; isShared: boolean; canWrite: boolean };
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }); // in the zone of the reader
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" }); // the same in every zone

export function TaskRow({ task, listKey, isShared, canWrite }: Row) {
  const client = useQueryClient();
  const [theirs, setTheirs] = useState<Task | null>(null);
  const [isEdited, setEdited] = useState(false);
  const put = (next: Task) =>
    client.setQueryData<InfiniteData<Page>>(listKey, (data) => data && {
      ...data,
      pages: data.pages.map((page) => ({ ...page, items: page.items.map((one) => (one.id === next.id ? next : one)) })),
    });
  const path = { task_id: task.id };
  const change = useMutation({
    mutationFn: async ({ upon, ...wanted }: Change & { upon: number }) => {
      const header = { "If-Match": `"${upon}"` };
      const { completed, ...rest } = wanted;
      const body = { ...rest, ...(completed !== undefined && { status: completed ? "completed" : "pending" } as const) };
      try {
        return (await said(api.PATCH("/api/v1/tasks/{task_id}", { params: { path, header }, body }))).data;
      } catch (cause) {
        if (!(cause instanceof Failure && cause.code === "precondition_failed")) throw cause;
        const now = (await said(api.GET("/api/v1/tasks/{task_id}", { params: { path } }))).data;
        if ((wanted.title ?? now.title) === now.title && (completed ?? now.completed) === now.completed) return now; // it had arrived before
        setTheirs(now);
        throw cause;
      }
    },
    onMutate: async ({ upon: _, ...wanted }) => {
      await client.cancelQueries({ queryKey: listKey });
      setTheirs(null);
      put({ ...task, ...wanted });
      return task;
    },
    onSuccess: put,
    onError: async (cause, _, before) => {
      if (before) put(before);
      if (cause instanceof Failure && cause.code === "not_found") await client.invalidateQueries({ queryKey: listKey });
    },
  });
  const removal = useMutation({
    mutationFn: () => said(api.DELETE("/api/v1/tasks/{task_id}", { params: { path } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["tasks"] }),
  });
  const save = (title: string) => {
    setEdited(false);
    if (title.trim() && title.trim() !== task.title) change.mutate({ title: title.trim(), upon: task.version });
  };
  const press = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.key === "Escape") event.currentTarget.value = task.title;
    if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur(); // which saves it
  };
  const { variables } = change;
  const keepMine = () => theirs && variables && change.mutate({ ...variables, upon: theirs.version });
  const failure = removal.error ?? (theirs ? null : change.error);

  return (
    <li>
      <input
        type="checkbox"
        aria-label={`Done: ${task.title}`}
        checked={task.completed}
        disabled={change.isPending}
        onChange={(event) => change.mutate({ completed: event.target.checked, upon: task.version })}
      />
      {isEdited ? (
        <input aria-label="Title" defaultValue={task.title} maxLength={200} autoFocus onKeyDown={press} onBlur={(event) => save(event.target.value)} />
      ) : (
        <button className="title" onClick={() => setEdited(true)}>{task.title}</button>
      )}
      {isShared && task.author && <span className="quiet">{task.author.full_name ?? task.author.username}</span>}
      {task.due_date && <time dateTime={task.due_date}>{moment.format(new Date(task.due_date))}</time>}
      {task.due_on && <time dateTime={task.due_on}>{day.format(new Date(task.due_on))}</time>}
      {canWrite && <button className="quiet" aria-label={`Delete: ${task.title}`} onClick={() => removal.mutate()}>✕</button>}
      {theirs && (
        <p role="alert">
          {message(change.error)} It is “{theirs.title}” now{theirs.completed && ", and done"}.{" "}
          <button onClick={() => { put(theirs); setTheirs(null); change.reset(); }}>Take theirs</button>{" "}
          <button onClick={keepMine}>Keep mine</button>
        </p>
      )}
      {failure && (
        <p role="alert">
          {message(failure)} <button onClick={() => (removal.error ? removal.mutate() : variables && change.mutate(variables))}>Try again</button>
        </p>
      )}
    </li>
  );
}
