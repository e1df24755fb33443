/** The page: what is sold, and the orders of the customer who is logged in, live. */
import { createRoot } from "react-dom/client";
import { createCollection, eq, useLiveQuery } from "@tanstack/react-db";
import { connect } from "plank-client";
import { PlankProvider, useConnection } from "plank-client/react";
import { plankCollectionOptions } from "plank-tanstack-db";

const get = async (path) => {
  const response = await fetch(path);
  return response.ok ? response.text() : null;
};

const client = connect("/ws", { auth: () => get("/token") });
const products = createCollection(plankCollectionOptions({ client, table: "products" }));
const orders = createCollection(plankCollectionOptions({ client, table: "orders" }));

function Connection() {
  const { phase } = useConnection();
  return <p id="phase" data-phase={phase}>{phase === "open" ? "live" : "connecting ..."}</p>;
}

function Shop({ customer }) {
  const { data: sold } = useLiveQuery((q) => q.from({ product: products }).orderBy(({ product }) => product.id));
  const { data: mine } = useLiveQuery((q) =>
    q
      .from({ order: orders })
      .join({ product: products }, ({ order, product }) => eq(order.product, product.id))
      .orderBy(({ order }) => order.placed_at)
      .select(({ order, product }) => ({ id: order.id, status: order.status, name: product.name })),
  );
  const place = (product) =>
    orders.insert({ id: crypto.randomUUID(), customer, product, status: "placed", placed_at: new Date().toISOString() });
  return (
    <>
      <h1>Hello {customer}</h1>
      <Connection />
      {sold.map(({ id, name, price }) => (
        <button key={id} data-product={id} onClick={() => place(id)}>{name}, {price}</button>
      ))}
      <ul>{mine.map(({ id, name, status }) => <li key={id} data-status={status}>{name}: {status}</li>)}</ul>
    </>
  );
}

const customer = await get("/me");
const root = createRoot(document.getElementById("shop"));
if (customer) root.render(<PlankProvider client={client}><Shop customer={customer} /></PlankProvider>);
else root.render(<p>Log in: <a href="/login?user=ann">ann</a>, <a href="/login?user=bob">bob</a></p>);
