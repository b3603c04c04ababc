// Where Better Auth keeps people: in memory.
import { memoryAdapter } from "better-auth/adapters/memory";

export const tables = { user: [], session: [], account: [], verification: [], jwks: [] };
export const database = memoryAdapter(tables);
