-- The shop: what it sells, and what was ordered.
create table products (
    id int primary key,
    name text not null,
    price numeric(8, 2) not null check (price > 0)
);
create table orders (
    id uuid primary key,
    customer text not null,
    product int not null references products,
    status text not null default 'placed' check (status in ('placed', 'packed')),
    placed_at timestamptz not null default now()
);
insert into products values (1, 'Tea', 4.50), (2, 'Bread', 3.20), (3, 'Honey', 6.90);

select plank.watch('products'), plank.watch('orders');

-- A customer sees what is sold, and sees and places orders of its own. The worker sees all orders and changes them.
select plank.allow('products', 'customer', ops => '{select}');
select plank.allow('orders', 'customer', rows => 'customer=eq.{sub}', ops => '{select}');
select plank.allow('orders', 'customer', rows => 'customer=eq.{sub}&status=eq.placed', ops => '{insert}');
select plank.allow('orders', 'worker', ops => '{select,update}');
