"""A management command that follows a table and applies each batch in one transaction with its cursor: exactly once.

Save it as yourapp/management/commands/follow_orders.py. `Position` is a model with the fields `name` and `cursor`.
"""

from django.core.management.base import BaseCommand
from django.db import transaction

import plank
from yourapp.models import Position


class Command(BaseCommand):
    help = "follows the orders"

    def handle(self, *args: object, **options: object) -> None:
        position, _ = Position.objects.get_or_create(name="orders")
        for batch in plank.follow("http://127.0.0.1:8080", "orders", since=position.cursor or None):
            with transaction.atomic():
                for change in batch.changes:
                    self.stdout.write(f"{change.op} {change.key}")
                position.cursor = batch.cursor or ""
                position.save()
