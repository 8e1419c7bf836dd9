// Rendered for each request, like the function's pages, and smaller than any of them.
export const dynamic = "force-dynamic";

export default function Page() {
  return <h1>It is {new Date().toISOString()}</h1>;
}
