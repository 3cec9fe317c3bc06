/** Serves the stories: every screen with a state made up for it, without a server or devices. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({ root: "stories", plugins: [react()], publicDir: false, server: { host: "127.0.0.1", port: 5199, strictPort: true } });
