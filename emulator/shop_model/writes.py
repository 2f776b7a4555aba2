"""What became of a write: what it waits for, what it did, or why it did not."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.shop_model import slots
from emulator.shop_model.dialogue import Outcome, Use
from emulator.shop_model.understanding import Ask
from emulator.shop_model.view import View, money, title_of
from host.json_values import number, objects, whole


def too_many(view: View, tool: str, ask: Ask) -> str | None:
    """A refusal of more than the tool takes at once; None where the quantity is fine."""
    rule = (view.dialogue.tools.get(tool, {}).get("properties") or {}).get("quantity") or {}
    most, wanted = rule.get("maximum"), slots.quantity(ask.text)
    if most is None or wanted <= most:
        return None
    return view.say(f"That is more than the {most} I can write down at once. How many of up to {most}?",
                    f"Eso es más de los {most} que puedo anotar a la vez. ¿Cuántos, hasta {most}?")  # fmt: skip


def written(view: View, use: Use) -> str:
    """What a write did, or what it waits for."""
    data = use.data
    if data.get("status") == "needs_confirmation":
        action = " ".join(str(data.get("action") or "").split())
        return view.say(f"Please confirm, and nothing happens until you do: {action}.",
                        f"Por favor, confirma; hasta entonces no pasa nada: {action}.")  # fmt: skip
    if use.failed and use.result is None:
        return view.say("I cannot do that here.", "Eso no puedo hacerlo aquí.")
    if data.get("error"):
        return view.say(f"That did not work: {_line(data['error'])}.", f"No funcionó: {_line(data['error'])}.")
    if data.get("found") is False:
        return view.say("I find nothing like that in your orders or in what you looked at. What exactly do you mean?",
                        "No encuentro nada así en tus pedidos ni en lo que miraste. ¿Qué quieres decir exactamente?")  # fmt: skip
    return _done(view, use.tool, data)


def outcome(view: View, result: Outcome) -> str:
    """What the store did after the customer confirmed or declined."""
    if result.result is None:
        return view.say("All right, nothing was done.", "De acuerdo, no se hizo nada.")
    return written(view, Use(result.tool, {}, result.result, failed="error" in result.result))


def _done(view: View, tool: str, data: Mapping[str, object]) -> str:
    if tool in ("auto_buy", "price_alert") and data.get("rule_id"):
        return _rule(view, tool, data)
    if tool == "reorder":
        return _reordered(view, data)
    if tool == "add_to_cart":
        if data.get("added"):
            return view.say(f"It is in your cart, which now holds {_cart_size(data)}; review it before you check out.",
                            f"Está en tu carrito, que ahora tiene {_cart_size(data)}; revísalo antes de pagar.")  # fmt: skip
        others = "; ".join(f"{title_of(row)} ({view.price(row)})" for row in objects(data.get("substitutes")))
        return view.say(f"It is sold out, so nothing was added. Closest in stock: {others or 'nothing'}.",
                        f"Está agotado y no se añadió nada. Lo más parecido disponible: {others or 'nada'}.")  # fmt: skip
    if tool == "remember":
        return view.say(
            f"I will remember: {_line(data.get('remembered'))}.", f"Lo recordaré: {_line(data.get('remembered'))}."
        )
    if tool == "forget":
        gone = data.get("forgotten")
        what = "; ".join(map(str, gone)) if isinstance(gone, list) else str(gone or 0)
        return view.say(f"Forgotten: {what or 'nothing matched'}.", f"Olvidado: {what or 'nada coincidía'}.")
    if tool == "order_change":
        return view.say(f"Recorded for order {data.get('order_id')}: {_line(data.get('change'))}.",
                        f"Anotado para el pedido {data.get('order_id')}: {_line(data.get('change'))}.")  # fmt: skip
    if tool == "start_return":
        title = title_of(view.known(str(data.get("product_id"))) or data)
        return view.say(f"The return of {title} from order {data.get('order_id')} has started.",
                        f"La devolución de {title} del pedido {data.get('order_id')} ha comenzado.")  # fmt: skip
    return view.say("Done.", "Hecho.")


def _rule(view: View, tool: str, data: Mapping[str, object]) -> str:
    target, now = (money(number(data[key]), view.currency) for key in ("target_price", "price_now"))
    title = title_of(data)
    if tool == "price_alert":
        return view.say(f"Done: I will tell you when {title} costs {target} or less (now {now}), until {data.get('until')}.",
                        f"Hecho: te avisaré cuando {title} cueste {target} o menos (ahora {now}), hasta el {data.get('until')}.")  # fmt: skip
    return view.say(
        f"Done: {data.get('quantity', 1)} x {title} will be bought once, within 30 minutes of its price being {target} or less"
        f" (now {now}), until {data.get('until')}, with your default payment and address.",
        f"Hecho: se comprará una vez {data.get('quantity', 1)} x {title}, dentro de 30 minutos de que su precio sea {target} o menos"
        f" (ahora {now}), hasta el {data.get('until')}, con tu pago y dirección por defecto.",
    )


def _reordered(view: View, data: Mapping[str, object]) -> str:
    added = objects(data.get("added_to_cart"))
    gone = objects(data.get("unavailable"))
    lines = []
    if added:
        total = sum(number(row.get("price")) * whole(row.get("quantity"), 1) for row in added)
        listed = ", ".join(f"{row.get('quantity', 1)} x {title_of(row)} ({view.price(row)})" for row in added)
        lines.append(view.say(f"In your cart for review: {listed}. Together {money(total, view.currency)}.",
                              f"En tu carrito para revisar: {listed}. En total {money(total, view.currency)}."))  # fmt: skip
    for row in gone:
        others = "; ".join(f"{title_of(other)} ({view.price(other)})" for other in objects(row.get("alternatives")))
        lines.append(view.say(f"{title_of(row)} is sold out; instead there is {others or 'nothing similar'}. Shall I add one of them?",
                              f"{title_of(row)} está agotado; en su lugar hay {others or 'nada parecido'}. ¿Añado uno?"))  # fmt: skip
    lines.append(view.say("Nothing is ordered until you check out.", "Nada se pide hasta que pagues."))
    return " ".join(lines)


def _cart_size(data: Mapping[str, object]) -> str:
    return f"{sum(whole(row.get('quantity'), 1) for row in objects(data.get('cart')))} item(s)"


def _line(value: object) -> str:
    return " ".join(str(value or "").split())
