export default {
  output: "standalone",
  // Else Next.js takes the folder of the outermost package-lock.json, this project's.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
};
