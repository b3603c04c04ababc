// Pages and API have one origin: what begins with /api goes to Docket, so that no page needs CORS.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `Host` stays that of the page: by it Docket tells a page of its own origin, to which alone it gives the cookie.
const proxy = { "/api": { target: process.env["DOCKET"] ?? "http://127.0.0.1:8000", changeOrigin: false } };

export default defineConfig({
  plugins: [react()],
  server: { host: "127.0.0.1", proxy },
  preview: { host: "127.0.0.1", proxy },
});
